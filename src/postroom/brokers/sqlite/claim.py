"""What one turn of a hold does to the events, each step a few statements within the turn's transaction.

Each execution of a statement and each row it returns lets go of the interpreter's lock, and beside a busy thread
taking it back costs up to 5 ms. So nothing here is done row by row: lists travel as JSON, in and out.
"""

import sqlite3
from typing import Any

import msgspec

from postroom.brokers.base import Delivery
from postroom.wire.message import Headers, Message

from .publish import encoded
from .schema import DELAYED, IN_HAND, READY

PROMOTED_AT_ONCE = 500

_MINE = f"state = {IN_HAND} AND holder = ?"

_rows = msgspec.json.Decoder(list[tuple[int, str, dict[str, Any] | None, float, int, int]])

# Bodies need not be text, so they come beside the JSON, end to end. A number of 17 digits is the same float again.
_OLDEST = f"""
SELECT json_group_array(json_array(seq, id, iif(json_valid(headers), json(headers), NULL),
                                   json(printf('%!.17g', published)), returns, length(body))),
       CAST(group_concat(body, '') AS BLOB), max(seq)
FROM (SELECT seq, id, headers, published, returns, CAST(body AS BLOB) AS body FROM events
      WHERE state = {READY} AND queue = (SELECT id FROM queues WHERE id = ? AND paused = 0)
      ORDER BY seq LIMIT ?)
"""  # noqa: S608
_TAKE = f"""
UPDATE events SET state = {IN_HAND}, holder = ? WHERE state = {READY} AND queue = ? AND seq <= ?
"""  # noqa: S608


def standing(connection: sqlite3.Connection, hold: int) -> tuple[bool, float | None]:
    """Whether the hold is still registered, and when the next delayed event of any queue is due."""
    ((registered, due),) = connection.execute(
        f"SELECT (SELECT 1 FROM holds WHERE id = ?), (SELECT min(due) FROM events WHERE state = {DELAYED})",  # noqa: S608
        (hold,),
    ).fetchall()
    return registered is not None, due


def acknowledge(connection: sqlite3.Connection, hold: int, seqs: list[int]) -> None:
    """Deletes those of these events that the hold has in hand."""
    connection.execute(
        f"DELETE FROM events WHERE seq IN (SELECT value FROM json_each(?)) AND {_MINE}",  # noqa: S608
        (str(seqs), hold),
    )


def give_back(connection: sqlite3.Connection, hold: int, seqs: list[int]) -> None:
    """Puts events back to where they were, counting nothing."""
    connection.execute(
        f"UPDATE events SET state = {READY}, holder = NULL"  # noqa: S608
        f" WHERE seq IN (SELECT value FROM json_each(?)) AND {_MINE}",
        (str(seqs), hold),
    )


def replace(connection: sqlite3.Connection, hold: int, seq: int, headers: Headers, due: float | None) -> bool:
    """Replaces an event by a copy with these headers, ready or due later. False if it is not the hold's."""
    copied = connection.execute(
        "INSERT INTO events (queue, state, due, published, id, headers, body, key)"  # noqa: S608
        f" SELECT queue, ?, ?, published, id, ?, body, key FROM events WHERE seq = ? AND {_MINE}",
        (READY if due is None else DELAYED, due, encoded(headers), seq, hold),
    )
    return _leave_if(copied, connection, seq)


def bury(connection: sqlite3.Connection, hold: int, seq: int, headers: Headers) -> bool:
    """Moves an event to the dead letters. False if it is not the hold's."""
    copied = connection.execute(
        "INSERT INTO dead (queue, published, id, headers, body)"  # noqa: S608
        f" SELECT queue, published, id, ?, body FROM events WHERE seq = ? AND {_MINE}",
        (encoded(headers), seq, hold),
    )
    return _leave_if(copied, connection, seq)


def note(connection: sqlite3.Connection, hold: int, seq: int, headers: Headers) -> bool:
    """Writes headers onto an event. False if it is not the hold's."""
    written = connection.execute(
        f"UPDATE events SET headers = ? WHERE seq = ? AND {_MINE}",  # noqa: S608
        (encoded(headers), seq, hold),
    )
    return written.rowcount == 1


def _leave_if(copied: sqlite3.Cursor, connection: sqlite3.Connection, seq: int) -> bool:
    if copied.rowcount != 1:
        return False
    connection.execute("DELETE FROM events WHERE seq = ?", (seq,))
    return True


def promote(connection: sqlite3.Connection, now: float) -> dict[int, int]:
    """Moves events that are due, of all queues, behind those that are ready, in the order in which they were due.

    Returns how many of each queue.
    """
    due = f"state = {DELAYED} AND due <= ?"
    rows = connection.execute(
        f"SELECT seq, queue FROM events WHERE {due} ORDER BY due, seq LIMIT {PROMOTED_AT_ONCE}",  # noqa: S608
        (now,),
    ).fetchall()
    seqs = str([seq for seq, _ in rows])
    connection.execute(
        "INSERT INTO events (queue, state, due, published, id, headers, body, returns, key)"  # noqa: S608
        f" SELECT queue, {READY}, due, published, id, headers, body, returns, key FROM events"
        " WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY due, seq",
        (seqs,),
    )
    connection.execute("DELETE FROM events WHERE seq IN (SELECT value FROM json_each(?))", (seqs,))
    counts: dict[int, int] = {}
    for _, queue in rows:
        counts[queue] = counts.get(queue, 0) + 1
    return counts


def take(connection: sqlite3.Connection, hold: int, queue: int, name: str, limit: int) -> tuple[list[Delivery], int]:
    """Takes up to ``limit`` of the oldest ready events of a queue that is not paused.

    Returns them, oldest first, and the size of all bodies in bytes.
    """
    ((rows, bodies, last),) = connection.execute(_OLDEST, (queue, limit)).fetchall()
    if last is None:
        return [], 0
    connection.execute(_TAKE, (hold, queue, last))
    deliveries = []
    start = 0
    for seq, event_id, headers, published, returns, size in _rows.decode(rows):
        end = start + size
        deliveries.append(
            Delivery(name, Message(event_id, bodies[start:end], headers or {}, published), returns, seq)
        )
        start = end
    return deliveries, start


def ready(connection: sqlite3.Connection, queue: int) -> bool:
    """Whether anything in the queue is ready."""
    found = f"SELECT EXISTS (SELECT 1 FROM events WHERE state = {READY} AND queue = ?)"  # noqa: S608
    return bool(connection.execute(found, (queue,)).fetchall()[0][0])


def record_waiting(connection: sqlite3.Connection, hold: int, queue: int, waiting: bool) -> None:
    """Tells publishers whether to ring this hold for events of the queue."""
    connection.execute(
        "UPDATE subscriptions SET waiting = ? WHERE queue = ? AND hold = ?", (int(waiting), queue, hold)
    )
