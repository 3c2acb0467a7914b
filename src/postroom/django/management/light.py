"""Becoming a small process in the place of this one, which has the whole project in it."""

import os
import site
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from typing import NoReturn

from postroom.queues.discovery import DJANGO


def become(verb: str, words: Sequence[str]) -> NoReturn:
    """Replaces this process by ``postroom VERB`` with these arguments. The interpreter's flags, the
    environment, DJANGO_SETTINGS_MODULE in it, and where modules are found stay."""
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    command = [sys.executable, *flags, "-m", "postroom", verb, "--app", DJANGO, *words]
    os.environ["PYTHONPATH"] = os.pathsep.join(project_path())
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, command)  # noqa: S606


def project_path() -> list[str]:
    """The entries of ``sys.path`` that are the project's. Python's own are left out: as PYTHONPATH they would
    also reach, and break, a worker's child that is another Python."""
    paths = sysconfig.get_paths()
    own = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    own |= {f"{paths[name]}/lib-dynload" for name in ("stdlib", "platstdlib")}
    own |= {*site.getsitepackages(), site.getusersitepackages()}
    return [
        os.path.abspath(entry)  # noqa: PTH100 - "" is the current folder
        for entry in sys.path
        if entry not in own and not entry.endswith(".zip")
    ]
