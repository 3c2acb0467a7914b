"""``python -m postroom.supervise.tell FD APP``: what the application says of itself, as JSON into a descriptor.

In a process of its own, so that the supervisor stays small, and a mistake in the application's code is told, not had.
"""

import os
import sys
import sysconfig
from pathlib import Path

import msgspec
from msgspec import Struct

from postroom.errors import PostroomError
from postroom.operate.application import load
from postroom.queues import registry
from postroom.settings import settings


class Told(Struct):
    """``workers``: how many queues have one. ``folders``: where the application's code is, as far as it is loaded.
    ``mistake``: why it cannot be imported."""

    programs: dict[str, list[str]] = {}
    workers: int = 0
    folders: list[str] = []
    mistake: str = ""


def main(fd: int, app: str) -> None:
    """Imports the application and tells."""
    try:
        load(app)
        current = settings()
        told = Told(current.programs, len(registry.assignments()), _folders(current.base_dir))
    except PostroomError as error:
        told = Told(folders=_folders(str(Path.cwd())), mistake=str(error))
    with os.fdopen(fd, "wb") as pipe:
        pipe.write(msgspec.json.encode(told))


def _folders(base_dir: str) -> list[str]:
    """The folders of all modules that are loaded, without Python's and those of installed packages; none that lies
    in another."""
    paths = sysconfig.get_paths()
    installed = tuple(paths[name] + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    ours = str(Path(__file__).parents[1])
    folders = {base_dir}
    for file in files:
        if file is not None and not os.path.realpath(file).startswith((*installed, ours)):
            folders.add(os.path.dirname(os.path.realpath(file)))  # noqa: PTH120
    outermost: list[str] = []
    for folder in sorted(folders):
        if not any(folder == other or folder.startswith(other + os.sep) for other in outermost):
            outermost.append(folder)
    return outermost


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
