"""Which holds live: each locks a file of its own, which the kernel unlocks the moment its process dies.

The files are in a folder beside the database. The locks are POSIX locks (``fcntl``): they are not inherited by
children, as those of ``flock`` are, and unlike process numbers they mean the same in every container that shares
the folder. But closing *any* descriptor of a file drops the process's lock on it: a process never opens its own
holds' files a second time, which is what ``_own`` is for.

A process that is stopped or hangs keeps its lock; for that there is a lease, renewed by the hold's thread while it
holds events. A lease is in seconds of ``time.monotonic``, one clock for all processes of the machine that never
jumps and stands still while the machine sleeps. A reboot sets it back, but a reboot has also unlocked every file.
"""

import fcntl
import os
import secrets
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from . import wake
from .schema import IN_HAND, READY

LEASE = 30.0
RENEW = 5.0
PROBE = 0.5
PROBED_AT_ONCE = 8
"""With n holds that each probe 8 others at random, one dead escapes all of them once in 3,000 times, and then for
half a second only."""

_own: set[tuple[int, str]] = set()


class Registered(Struct, frozen=True):
    """A hold as the others see it."""

    id: int
    lock: str
    socket: str | None
    lease: float


def folder(path: str) -> Path:
    """Where the locks of the holds on the database at ``path`` are."""
    return Path(f"{path}-consumers")


class Lock:
    """A file that this process keeps locked. Raises OSError where it cannot be made."""

    def __init__(self, path: str) -> None:
        # Whoever may write the database must be able to probe the lock, which takes write access.
        mode = Path(path).stat().st_mode & 0o666
        place = folder(path)
        if not place.is_dir():
            place.mkdir(exist_ok=True)
            place.chmod(mode | (mode & 0o444) >> 2)
        self.name = secrets.token_hex(8)
        self.path = place / self.name
        _own.add((os.getpid(), os.fspath(self.path)))
        self._file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)
        fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def present(self) -> bool:
        """Whether the others can still find it."""
        return self.path.exists()

    def release(self) -> None:
        """Unlocks and removes the file."""
        with suppress(FileNotFoundError):
            self.path.unlink()
        os.close(self._file)
        _own.discard((os.getpid(), os.fspath(self.path)))


def alive(path: str, lock: str) -> bool:
    """Whether the process that made this lock lives. True where that cannot be told: then the lease decides."""
    file = os.fspath(folder(path) / lock)
    if (os.getpid(), file) in _own:
        return True
    try:
        descriptor = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def sweep(path: str, hold: Registered) -> None:
    """Removes the files that a dead hold has left behind."""
    if hold.socket is not None:
        wake.forget(hold.socket)
    with suppress(OSError):  # another has removed it
        (folder(path) / hold.lock).unlink()


def registered(connection: sqlite3.Connection) -> list[Registered]:
    """All holds that the database knows."""
    rows = connection.execute("SELECT id, lock, socket, lease FROM holds").fetchall()
    return [Registered(*row) for row in rows]


def renewed() -> float:
    """A lease that begins now."""
    return time.monotonic() + LEASE


def hung(connection: sqlite3.Connection, hold: int) -> bool:
    """Whether a hold has events in hand and has not renewed its lease. Within a transaction."""
    return bool(
        connection.execute(
            "SELECT 1 FROM holds WHERE id = ? AND lease < ?"  # noqa: S608
            f" AND EXISTS (SELECT 1 FROM events WHERE state = {IN_HAND} AND holder = holds.id)",
            (hold, time.monotonic()),
        ).fetchall()
    )


def strike(connection: sqlite3.Connection, hold: int, returns: int) -> list[tuple[int, int]]:
    """Removes a hold and gives its events back to where they were, ``returns`` more on their count.

    Within a transaction. Returns the queues and how many events each got back. A hold that finds itself struck
    knows that its events are no longer its own.
    """
    back = connection.execute(
        f"SELECT queue, count(*) FROM events WHERE state = {IN_HAND} AND holder = ? GROUP BY queue",  # noqa: S608
        (hold,),
    ).fetchall()
    if back:
        connection.execute(
            f"UPDATE events SET state = {READY}, holder = NULL, returns = returns + ?"  # noqa: S608
            f" WHERE state = {IN_HAND} AND holder = ?",
            (returns, hold),
        )
    connection.execute("DELETE FROM subscriptions WHERE hold = ?", (hold,))
    connection.execute("DELETE FROM holds WHERE id = ?", (hold,))
    return back
