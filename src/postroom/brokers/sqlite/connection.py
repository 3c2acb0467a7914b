"""A connection that survives forks.

A child must neither use nor close a connection of its parent, and SQLite's own memory of the locks that the
parent has would follow it, so every connection of the process is closed before a fork and opened again when next
used. Closing it costs a few milliseconds; a fork that is part of starting another program (``subprocess``) does
not come this way.
"""

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from postroom.errors import BrokerError

from . import faults, schema


class CommitUnknown(BrokerError):
    """The disk failed while a transaction was written: it may be there or not."""


class Handle:
    """One connection to the file at ``path``, opened when first used. Who uses it holds ``lock``."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.openings = 0
        """Grows when a connection is opened: what was read from an earlier one may be from another file."""
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        self._file = (0, 0)
        _handles.add(self)

    def connection(self, deadline: float) -> sqlite3.Connection:
        """The open connection. Raises sqlite3.Error or BrokerError as ``schema.connect`` does."""
        if self._connection is not None:
            if self._pid != os.getpid():
                self._forget()
            elif self._file == _identity(self.path):
                return self._connection
            else:  # the file was deleted or replaced: what we wrote would be seen by nobody
                self.close()
        connection = schema.connect(self.path, deadline)
        self._connection, self._pid, self._file = connection, os.getpid(), _identity(self.path)
        self.openings += 1
        return connection

    @contextmanager
    def transaction(self, patience: float, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction that writes, which takes and holds ``lock``. Waits ``patience`` seconds for a locked file.

        One that is not ``durable`` does not wait for the disk: it survives this process, but perhaps not a power
        cut, and everything before it does."""
        deadline = time.monotonic() + patience
        with self.lock:
            connection = self.connection(deadline)
            connection.execute(schema.FLUSH if durable else schema.DO_NOT_FLUSH)
            schema.begin(connection, deadline)
            try:
                yield connection
            except BaseException:
                _roll_back(connection)
                raise
            try:
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                _roll_back(connection)
                if faults.kind(error) == sqlite3.SQLITE_IOERR:
                    raise CommitUnknown(faults.sentence(error, self.path)) from error
                raise

    def mend(self, error: Exception) -> None:
        """After an error: does what may help the next try. Who calls holds ``lock``."""
        if faults.kind(error) == sqlite3.SQLITE_FULL and self._connection is not None:
            schema.reclaim(self._connection)
        elif not faults.busy(error):
            self.close()

    def close(self) -> None:
        """Closes the connection; the next use opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):  # a damaged file cannot be closed tidily, and need not be
                connection.close()

    def _forget(self) -> None:
        """Drops a connection that belongs to the parent process without closing it."""
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))
        self._connection = None


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # some errors have rolled it back already
        connection.execute("ROLLBACK")


def _identity(file: str) -> tuple[int, int]:
    try:
        status = os.stat(file)  # noqa: PTH116 - for each publish
    except OSError:
        return (0, 0)
    return status.st_dev, status.st_ino


_handles: weakref.WeakSet[Handle] = weakref.WeakSet()
_forking = threading.local()


def _before_fork() -> None:
    _forking.handles = []
    patience = time.monotonic() + 5
    for handle in list(_handles):
        if handle.lock.acquire(timeout=max(0.0, patience - time.monotonic())):
            _forking.handles.append(handle)
            handle.close()


def _after_fork_in_parent() -> None:
    for handle in _forking.handles:
        handle.lock.release()
    _forking.handles = []


def _after_fork_in_child() -> None:
    # Its other threads are gone, and with them whoever would have released a lock. A server that forks in C
    # has not come through _before_fork: then a connection may still be open here, and is forgotten when next used.
    for handle in list(_handles):
        handle.lock = threading.Lock()
    _forking.handles = []


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
