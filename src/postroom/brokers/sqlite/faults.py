"""What SQLite's errors mean to people: one sentence each, with the file's name and what to do."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from postroom.errors import BrokerError

_FOR_GOOD = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def kind(error: Exception) -> int:
    """SQLite's primary result code, such as ``sqlite3.SQLITE_BUSY``; 0 for an error that has none."""
    code = getattr(error, "sqlite_errorcode", 0)
    return int(code) & 0xFF


def busy(error: Exception) -> bool:
    """Another connection has the file locked: trying again may help."""
    return kind(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


def for_good(error: Exception) -> bool:
    """Nothing will mend this but a person."""
    return kind(error) in _FOR_GOOD


def sentence(error: Exception, path: str) -> str:
    """What happened to the file at ``path``, and what to do."""
    file = Path(path)
    if file.is_dir():
        return f"{path} is a folder: the broker's URL must name a file"
    if not file.parent.is_dir():
        return f"the folder {file.parent} does not exist: create it, or correct the broker's URL"
    code = sqlite3.SQLITE_CANTOPEN if isinstance(error, PermissionError) else kind(error)
    match code:
        case sqlite3.SQLITE_FULL:
            return f"the disk that holds {path} is full: make room"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return f"{path} is locked by another program: find out which (lsof {path}) and let it finish"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return f"{path} cannot be written: give this user write access to the file and to its folder"
        case sqlite3.SQLITE_CANTOPEN:
            return f"{path} cannot be opened: give this user read and write access to it and to its folder"
        case sqlite3.SQLITE_NOTADB:
            return f"{path} is not a database: move the file away, or correct the broker's URL"
        case sqlite3.SQLITE_CORRUPT:
            return (
                f"{path} is damaged ({error}): stop all processes, keep a copy, then restore a backup or "
                f'rebuild it with sqlite3 "{path}" .recover'
            )
        case sqlite3.SQLITE_IOERR:
            return f"the disk that holds {path} failed ({error}): look at the system's log"
        case sqlite3.SQLITE_TOOBIG:
            return f"an event is larger than {path} can keep ({error}): make its payload smaller"
    return f"{path}: {error}"


@contextmanager
def spoken(path: str) -> Iterator[None]:
    """Turns SQLite's errors into BrokerError with a sentence."""
    try:
        yield
    except sqlite3.Error as error:
        raise BrokerError(sentence(error, path)) from error
