"""Doorbells: a datagram to a waiting hold says "look at this queue". It may get lost: a poll is behind it."""

import contextlib
import errno
import os
import random
import secrets
import socket
import sqlite3
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

LONGEST_FOLDER = 60  # bytes; macOS allows 104 for the whole path
LONGEST_RING = 256
ASKING = b"?"
ANYTHING = 0
"""The number rung for no queue in particular: look at everything."""


class Bell:
    """A hold's own socket. Where none can be had, ``path`` is None and ``trouble`` says why: then the poll is all."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.path: str | None = None
        self.trouble = ""
        self.askers: list[str] = []
        """Sockets to which an answer is to go: they asked how it goes."""
        try:
            folder = _folder()
            _sweep(folder)
            path = os.fspath(folder / secrets.token_hex(6))
            self.socket.bind(path)
            self.path = path
        except OSError as error:
            self.trouble = str(error)

    def rung(self) -> set[int]:
        """The numbers of the queues that were rung since the last call."""
        queues: set[int] = set()
        with contextlib.suppress(BlockingIOError):
            while True:
                told = self.socket.recv(LONGEST_RING)
                if told.startswith(ASKING):
                    self.askers.append(os.fsdecode(told.removeprefix(ASKING)))
                else:
                    queues.add(int(told) if told.isdigit() else ANYTHING)
        return queues

    def asked(self) -> list[str]:
        """Who has asked since the last call."""
        askers, self.askers = self.askers, []
        return askers

    def present(self) -> bool:
        """Whether the socket can still be found: programs that clean temporary folders may remove it."""
        return self.path is None or Path(self.path).exists()

    def close(self) -> None:
        self.socket.close()
        if self.path is not None:
            forget(self.path)


def waiting(connection: sqlite3.Connection, queue: int) -> list[str]:
    """The bells of those who wait for events of this queue."""
    return _bells(connection, "queue = ? AND waiting = 1", (queue,))


def subscribed(connection: sqlite3.Connection, queue: int) -> list[str]:
    """The bells of all who take events of this queue."""
    return _bells(connection, "queue = ?", (queue,))


def ring(bells: Sequence[str], queue: int, enough: int) -> None:
    """Rings until ``enough`` have been reached, in no order, so that they share the work."""
    if not bells:
        return
    sender = _sender()
    told = str(queue).encode()
    for bell in random.sample(bells, len(bells)) if len(bells) > 1 else bells:
        try:
            sender.sendto(told, bell)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ENOBUFS):
                continue  # dead, or another user's
            # Its buffer is full, so it has been rung and will look.
        enough -= 1
        if enough <= 0:
            return


def send(data: bytes, bell: str) -> bool:
    """Sends a datagram to a socket of the user's own folder. False where it is not taken."""
    try:
        if Path(bell).parent != _folder():
            return False
        _sender().sendto(data, bell)
    except OSError:
        return False
    return True


def forget(bell: str) -> None:
    """Removes the socket that a hold has left behind, if it is in our own folder."""
    with contextlib.suppress(OSError):  # gone already
        if Path(bell).parent == _folder():
            Path(bell).unlink(missing_ok=True)


def _bells(connection: sqlite3.Connection, which: str, values: tuple[int, ...]) -> list[str]:
    # In one row, because each row costs a switch of the interpreter's lock.
    ((bells,),) = connection.execute(
        "SELECT group_concat(socket, char(10)) FROM subscriptions JOIN holds ON holds.id = subscriptions.hold"  # noqa: S608
        f" WHERE {which}",
        values,
    ).fetchall()
    return str(bells).split("\n") if bells else []


def _folder() -> Path:
    """The user's own folder for sockets, with a short path. Raises OSError where it is not ours alone."""
    base = Path(tempfile.gettempdir())
    if len(os.fsencode(base)) > LONGEST_FOLDER:
        base = Path("/tmp")  # noqa: S108 - the folder beneath is private
    folder = base / f"postroom-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{folder} must be a folder that belongs to this user alone (mode 0700)")
    return folder


def _sweep(folder: Path) -> None:
    """Removes the sockets of processes that were killed: nobody else may come by their database again."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        for bell in folder.iterdir():
            try:
                probe.connect(os.fspath(bell))
            except ConnectionRefusedError:
                bell.unlink(missing_ok=True)
            except OSError:  # gone meanwhile, or nothing of ours
                continue


_sending: tuple[int, socket.socket] | None = None


def _sender() -> socket.socket:
    global _sending
    if _sending is None or _sending[0] != os.getpid():
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.setblocking(False)
        _sending = (os.getpid(), sender)
    return _sending[1]
