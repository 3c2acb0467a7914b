"""Rows as messages, for those who look without taking."""

import json
import sqlite3

from msgspec import Struct

from postroom.wire.message import Message

from .schema import BLOCKED, DELAYED, IN_HAND, READY


def message(event_id: str, body: bytes | str, headers: str | None, published: float) -> Message:
    """A message from its columns. Another program may have written them: headers that are no JSON are none."""
    try:
        known = json.loads(headers) if headers else {}
    except ValueError:
        known = {}
    if not isinstance(known, dict):
        known = {}
    return Message(event_id, body.encode() if isinstance(body, str) else body, known, published)


def peek(connection: sqlite3.Connection, queue: int, limit: int, now: float) -> list[Message]:
    """The first ready events in the order in which they will be taken, those that have become due last."""
    columns = "SELECT id, body, headers, published FROM events"
    waiting = "SELECT * FROM (SELECT seq FROM events WHERE state = {} AND queue = ?1 ORDER BY seq LIMIT ?2)"
    rows = connection.execute(
        f"{columns} WHERE seq IN ({waiting.format(READY)} UNION ALL {waiting.format(BLOCKED)}) ORDER BY seq LIMIT ?2",
        (queue, limit),
    ).fetchall()
    rows += connection.execute(
        f"{columns} WHERE state = {DELAYED} AND queue = ? AND due <= ? ORDER BY due, seq LIMIT ?",
        (queue, now, limit - len(rows)),
    ).fetchall()
    return [message(*row) for row in rows]


class Counts(Struct):
    """A queue's events by state. ``since``: when the longest waiting became ready."""

    ready: int
    in_hand: int
    delayed: int
    dead: int
    since: float | None


def count(connection: sqlite3.Connection, queue: int, now: float, dead_holds: list[int]) -> Counts:
    """Counts events. Those in the hands of dead holds, and those whose time has come, are ready."""
    values = {"queue": queue, "now": now, "dead_holds": str(dead_holds)}
    waiting, due, delayed, dead, left, held = connection.execute(
        f"""
        SELECT (SELECT count(*) FROM events WHERE state = {READY} AND queue = :queue)
               + (SELECT count(*) FROM events WHERE state = {BLOCKED} AND queue = :queue),
               (SELECT count(*) FROM events WHERE state = {DELAYED} AND queue = :queue AND due <= :now),
               (SELECT count(*) FROM events WHERE state = {DELAYED} AND queue = :queue AND due > :now),
               (SELECT count(*) FROM dead WHERE queue = :queue),
               (SELECT count(*) FROM json_each(:dead_holds)
                JOIN events ON state = {IN_HAND} AND holder = value WHERE queue = :queue),
               (SELECT count(*) FROM holds
                JOIN events ON state = {IN_HAND} AND holder = holds.id WHERE queue = :queue)
        """,  # noqa: S608
        values,
    ).fetchall()[0]
    since = connection.execute(
        f"""
        SELECT min(since) FROM (
            SELECT * FROM (SELECT coalesce(due, published) AS since FROM events
                           WHERE state = {READY} AND queue = :queue ORDER BY seq LIMIT 1)
            UNION ALL
            SELECT min(due) FROM events WHERE state = {DELAYED} AND queue = :queue AND due <= :now
            UNION ALL
            SELECT min(coalesce(due, published)) FROM json_each(:dead_holds)
                JOIN events ON state = {IN_HAND} AND holder = value WHERE queue = :queue
        )
        """,  # noqa: S608
        values,
    ).fetchall()[0][0]
    return Counts(waiting + due + left, held - left, delayed, dead, since)


def takers(connection: sqlite3.Connection, queue: int) -> set[int]:
    """The holds that are subscribed to the queue."""
    return {hold for (hold,) in connection.execute("SELECT hold FROM subscriptions WHERE queue = ?", (queue,))}
