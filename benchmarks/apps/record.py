"""Writing down effects: one line, one write, so that no kill can tear it and no two processes mix."""

import os
from pathlib import Path

_fds: dict[str, int] = {}


def folder() -> Path:
    """The scene's folder."""
    return Path(os.environ["SCENE_FOLDER"])


def record(line: str, name: str = "effects") -> None:
    """Appends a line to the scene's file of this name."""
    fd = _fds.get(name)
    if fd is None:
        fd = _fds[name] = os.open(folder() / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{line}\n".encode())
