"""The SQLite broker's file: where it is, who may use it, whether it is whole."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from .finding import Finding, ok, problem, warning

LITTLE_ROOM = 1 << 30
NO_ROOM = 100 << 20
LARGE_LOG = 1 << 30
CHECK_TIME = 10.0
NETWORKED = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "lustre", "fuse.sshfs", "fuse.s3fs", "vboxsf")


def file(path: Path) -> Iterator[Finding]:
    """Looks at the file and its folder; the file need not exist."""
    yield ok("versions", f"SQLite {sqlite3.sqlite_version}")
    folder = path.parent
    if not folder.is_dir():
        yield problem(
            "file", f"the folder {folder} does not exist", f"mkdir -p {folder}, or correct the broker's URL"
        )
        return
    kind = _file_system(folder)
    if kind.startswith(NETWORKED):
        yield problem("file", f"{folder} is on a network file system ({kind})", "put the file on a local disk")
    if not os.access(folder, os.W_OK | os.X_OK):
        yield problem(
            "file", f"this user cannot write to {folder}", "give it access: SQLite makes files beside its own"
        )
    free = shutil.disk_usage(folder).free
    if free < LITTLE_ROOM:
        level = problem if free < NO_ROOM else warning
        yield level("file", f"only {free >> 20:,} MiB are free on the disk of {folder}", "make room")
    if not path.exists():
        yield ok("file", f"{path} does not exist yet; the first use makes it")
        return
    yield from _permissions(path)
    yield from _content(path)


def _permissions(path: Path) -> Iterator[Finding]:
    if not os.access(path, os.R_OK | os.W_OK):
        yield problem("file", f"this user cannot read and write {path}", f"ls -l {path}; processors need both")
    if path.stat().st_mode & 0o007:
        yield warning("file", f"every user of this machine may open {path}", f"chmod o= {path}")


def _content(path: Path) -> Iterator[Finding]:
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5)
    except sqlite3.Error as error:
        yield problem("file", f"{path} cannot be opened: {error}")
        return
    deadline = time.monotonic() + CHECK_TIME
    connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
    try:
        ((mode,),) = connection.execute("PRAGMA journal_mode").fetchall()
        found = [row[0] for row in connection.execute("PRAGMA quick_check(3)").fetchall()]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            yield ok("file", f"{path} is too large to be checked whole in {CHECK_TIME:.0f} s; so far it is sound")
        else:
            yield problem("file", f"{path} cannot be checked: {error}")
        return
    except sqlite3.DatabaseError as error:
        found, mode = [str(error)], "wal"
    finally:
        connection.close()
    if found != ["ok"]:
        yield problem(
            "file",
            f"{path} is damaged: {'; '.join(found)}",
            f'stop all processes, keep a copy, restore a backup or run sqlite3 "{path}" .recover',
        )
    elif mode != "wal":
        yield warning("file", f"{path} is in journal mode {mode}, not wal", "let Postroom make the file itself")
    else:
        yield ok("file", f"{path} is sound, {path.stat().st_size >> 10:,} KiB")
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size > LARGE_LOG:
        yield warning(
            "file",
            f"{log} has grown to {log.stat().st_size >> 20:,} MiB",
            f"some process reads for long: lsof {path}",
        )


def _file_system(folder: Path) -> str:
    """The kind of file system that holds ``folder``, such as ext4; empty where the system does not tell."""
    try:
        mounts = Path("/proc/self/mounts").read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
    kinds = {}
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        kinds[point.replace("\\040", " ")] = kind
    real = folder.resolve()
    return next((kinds[str(place)] for place in (real, *real.parents) if str(place) in kinds), "")
