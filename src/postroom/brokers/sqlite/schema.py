"""The tables, and how a connection to them is opened.

An event is one row of ``events`` from publish until it is done. Its ``state`` says where it is, and each state has
a partial index of its own, so that no step costs more when another state has a million rows:

    BLOCKED ──the one before it in its key is gone──┐
                                                    ▼
                                                  READY ──claimed──► IN_HAND ──acknowledged──► (gone)
                                                    ▲                  │  └────buried────► a row of ``dead``
                                                    │ due              │ rescheduled
                                                  DELAYED ◄────────────┘

``seq`` is the place in the queue: the next free number, so that order of arrival is order of delivery. An event that
was delayed gets its number when it becomes due, behind those that wait. An event with a ``key`` is BLOCKED while
an earlier one of its key is there, in whatever state; two triggers see to that, so that no statement can forget it,
and a claim costs no more however many are blocked. ``due`` is in seconds since the epoch, for
it must outlive a reboot; in a ready row it tells since when the event has been ready, if not since it was published.
"""

import os
import random
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from postroom.errors import BrokerError

from . import faults

READY: Final = 0
DELAYED: Final = 1
IN_HAND: Final = 2
BLOCKED: Final = 3

VERSION: Final = 3
APPLICATION: Final = 0x506F7374  # "Post": marks the file as ours

_TABLES: Final = f"""
CREATE TABLE queues (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    paused INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    state INTEGER NOT NULL,
    holder INTEGER,
    returns INTEGER NOT NULL DEFAULT 0,
    due REAL,
    published REAL NOT NULL,
    id TEXT NOT NULL,
    headers TEXT,
    body BLOB NOT NULL,
    key TEXT
);
CREATE INDEX ready ON events (queue) WHERE state = {READY};
CREATE INDEX delayed ON events (due) WHERE state = {DELAYED};
CREATE INDEX delayed_in_queue ON events (queue, due) WHERE state = {DELAYED};
CREATE INDEX in_hand ON events (holder) WHERE state = {IN_HAND};
CREATE TABLE dead (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    queue INTEGER NOT NULL,
    published REAL NOT NULL,
    id TEXT NOT NULL,
    headers TEXT,
    body BLOB NOT NULL
);
CREATE INDEX dead_in_queue ON dead (queue);
CREATE TABLE holds (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    lock TEXT NOT NULL,
    socket TEXT,
    lease REAL NOT NULL
);
CREATE TABLE subscriptions (
    queue INTEGER NOT NULL,
    hold INTEGER NOT NULL,
    waiting INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, hold)
) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""

_ORDER: Final = (
    f"CREATE INDEX blocked ON events (queue) WHERE state = {BLOCKED}",
    "CREATE INDEX of_a_key ON events (queue, key, seq) WHERE key IS NOT NULL",
    f"""
CREATE TRIGGER block AFTER INSERT ON events
WHEN new.key IS NOT NULL AND new.state = {READY}
     AND EXISTS (SELECT 1 FROM events WHERE queue = new.queue AND key = new.key AND seq < new.seq)
BEGIN
    UPDATE events SET state = {BLOCKED} WHERE seq = new.seq;
END""",  # noqa: S608
    f"""
CREATE TRIGGER unblock AFTER DELETE ON events WHEN old.key IS NOT NULL
BEGIN
    UPDATE events SET state = {READY} WHERE state = {BLOCKED}
        AND seq = (SELECT min(seq) FROM events WHERE queue = old.queue AND key = old.key);
END""",  # noqa: S608
)
"""What ``order_by`` takes, beside the column ``key``."""

_REPLIES: Final = (
    """
CREATE TABLE replies (
    seq INTEGER PRIMARY KEY,
    caller TEXT NOT NULL,
    id TEXT NOT NULL,
    expires REAL NOT NULL,
    headers TEXT,
    body BLOB NOT NULL
)""",
    "CREATE INDEX replies_of_caller ON replies (caller)",
    "CREATE INDEX replies_expiring ON replies (expires)",
)
"""Replies to requests, each until its caller has read it or its time is over."""

# What leads from each version to the next; another process may have gone a step before.
_UPGRADES: Final = {1: ("ALTER TABLE events ADD COLUMN key TEXT", *_ORDER), 2: _REPLIES}

# Closing any descriptor of a file drops all POSIX locks that the process has on it, so a new file must not be
# created in one thread while another opens it.
_opening = threading.Lock()


def connect(path: str, deadline: float) -> sqlite3.Connection:
    """A connection to the file at ``path``, which is made where it does not exist, readable by its owner alone
    (the payloads may be private); an existing file keeps its permissions.

    Waits for a locked file until ``deadline`` (by ``time.monotonic``). Raises sqlite3.Error, or BrokerError for a
    file of another program or of a newer Postroom.
    """
    with _opening:
        _create(path)
        # SQLite's own waiting sleeps up to 0.1 s at a time; begin() is quicker, so its time is 0.
        connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        patiently(lambda: _prepare(connection, path), deadline)
    except BaseException:
        connection.close()
        raise
    return connection


FLUSH = "PRAGMA synchronous = FULL"
DO_NOT_FLUSH = "PRAGMA synchronous = NORMAL"
"""What the next transaction's commit does. (https://www.sqlite.org/pragma.html#pragma_synchronous)"""


def begin(connection: sqlite3.Connection, deadline: float) -> None:
    """Starts a transaction that writes. Waits for its turn until ``deadline``, then raises sqlite3.Error."""
    patiently(lambda: connection.execute("BEGIN IMMEDIATE"), deadline)


def patiently(act: Callable[[], object], deadline: float) -> None:
    """Repeats ``act`` while the file is locked, until ``deadline``."""
    pause = 0.0002
    while True:
        try:
            act()
            return
        except sqlite3.Error as error:
            if not faults.busy(error) or time.monotonic() + pause > deadline:
                raise
        time.sleep(pause * (0.5 + random.random()))
        pause = min(pause * 1.5, 0.005)


def reclaim(connection: sqlite3.Connection) -> None:
    """After the disk was full: lets the write-ahead log begin anew, which needs no room where the database has its
    pages already. Then at least what is done can leave."""
    with suppress(sqlite3.Error):  # there is no room for that either, or others are reading
        connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()


def queue_id(connection: sqlite3.Connection, queue: str) -> int | None:
    """The number of the queue in this file, None where it does not exist."""
    rows = connection.execute("SELECT id FROM queues WHERE name = ?", (queue,)).fetchall()
    return int(rows[0][0]) if rows else None


def declare(connection: sqlite3.Connection, queue: str) -> int:
    """The number of the queue, which is made where it does not exist. Within a transaction."""
    found = queue_id(connection, queue)
    if found is None:
        found = connection.execute("INSERT INTO queues (name) VALUES (?)", (queue,)).lastrowid
    assert found is not None
    return found


def _create(path: str) -> None:
    try:
        if not Path(path).exists():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise BrokerError(faults.sentence(error, path)) from error


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    for pragma in (
        "synchronous = FULL",
        "secure_delete = FAST",  # Debian's default overwrites every deleted row, at a third of the speed
        "journal_size_limit = 67108864",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")
    if sys.platform == "darwin":  # there fsync alone does not reach the disk
        connection.execute("PRAGMA fullfsync = 1")
        connection.execute("PRAGMA checkpoint_fullfsync = 1")
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    ((application,),) = connection.execute("PRAGMA application_id").fetchall()
    if application == APPLICATION and version > VERSION:
        raise BrokerError(
            f"{path} was made by a newer Postroom (its schema is {version}, this one knows {VERSION}): "
            f"upgrade Postroom here"
        )
    if application == APPLICATION and version == VERSION:
        return
    if application == APPLICATION:
        _upgrade(connection)
    else:
        _make_tables(connection, path)


def _upgrade(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        ((version,),) = connection.execute("PRAGMA user_version").fetchall()
        for step in range(version, VERSION):
            for statement in _UPGRADES[step]:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _make_tables(connection: sqlite3.Connection, path: str) -> None:
    ((mode,),) = connection.execute("PRAGMA journal_mode").fetchall()
    if mode != "wal":
        if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall():
            raise _foreign(path)
        ((mode,),) = connection.execute("PRAGMA journal_mode = WAL").fetchall()
        if mode != "wal":
            raise BrokerError(
                f"{path} cannot be shared between processes: its file system lacks what SQLite's write-ahead "
                f"log needs; put it on a local disk"
            )
    connection.execute("BEGIN IMMEDIATE")
    try:
        ((application,),) = connection.execute("PRAGMA application_id").fetchall()
        if application != APPLICATION:
            if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall():
                raise _foreign(path)
            for statement in [*_TABLES.split(";"), *_ORDER, *_REPLIES]:
                connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _foreign(path: str) -> BrokerError:
    return BrokerError(f"{path} is the database of another program: give the broker a file of its own")
