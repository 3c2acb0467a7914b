"""The table of replies: each is a row from the worker's answer until its caller has read it, or its time is over."""

import sqlite3
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from postroom.wire.reply import Reply

from .orders import Answer
from .publish import encoded

AT_ONCE = 100

_headers = msgspec.json.Decoder(dict[str, Any])


def insert(connection: sqlite3.Connection, answers: Sequence[Answer]) -> None:
    """Puts replies where their callers look for them. Within a transaction."""
    connection.executemany(
        "INSERT INTO replies (caller, id, expires, headers, body) VALUES (?, ?, ?, ?, ?)",
        [(each.caller, each.id, each.expires, encoded(each.reply.headers), each.reply.body) for each in answers],
    )


def present(connection: sqlite3.Connection, caller: str) -> bool:
    """Whether replies wait for this caller."""
    found = connection.execute("SELECT EXISTS (SELECT 1 FROM replies WHERE caller = ?)", (caller,)).fetchall()
    return bool(found[0][0])


def collect(connection: sqlite3.Connection, caller: str) -> list[tuple[str, Reply]]:
    """Takes up to 100 replies for this caller, with the ids of their requests. Within a transaction."""
    rows = connection.execute(
        "SELECT seq, id, headers, body FROM replies WHERE caller = ? ORDER BY seq LIMIT ?", (caller, AT_ONCE)
    ).fetchall()
    connection.execute(
        "DELETE FROM replies WHERE seq IN (SELECT value FROM json_each(?))", (str([row[0] for row in rows]),)
    )
    return [
        (identity, Reply(_headers.decode(headers) if headers else {}, body)) for _, identity, headers, body in rows
    ]


def sweep(connection: sqlite3.Connection) -> None:
    """Deletes up to 100 replies that nobody has read and nobody waits for. Outside a transaction."""
    expired = "SELECT seq FROM replies WHERE expires < ? LIMIT ?"
    if connection.execute(expired, (time.time(), 1)).fetchall():
        connection.execute(f"DELETE FROM replies WHERE seq IN ({expired})", (time.time(), AT_ONCE))  # noqa: S608
