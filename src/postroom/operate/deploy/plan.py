"""What every file for production is made from: the queues, the commands, and what these need around them."""

import getpass
import importlib
import os
import sys
import tempfile
from pathlib import Path

from msgspec import Struct

from postroom.errors import DeclarationError, SettingsError
from postroom.operate.application import load
from postroom.queues import registry
from postroom.queues.discovery import DJANGO
from postroom.settings import Settings, masked, settings

GRACE = 8
"""Seconds that ``process_queue`` gives to events in hand when it is told to stop."""

PATIENCE = GRACE + 5
"""Seconds after which what has not stopped by itself is to be killed."""


class Plan(Struct, frozen=True):
    """``queues``: those that have workers. ``program``: the words before a verb. ``app``: its flag, none
    where there is a ``manage.py``. ``directory``: where commands start. ``environment``: what they need in it.
    ``written``: the folders in which they write, as far as the settings tell. All paths are absolute."""

    queues: list[str]
    program: list[str]
    app: list[str]
    directory: str
    user: str
    environment: dict[str, str]
    written: list[str]

    def process_queue(self, queue: str) -> list[str]:
        """The command that processes this queue; its name is in the last word."""
        return [*self.program, "process_queue", *self.app, f"--queue={queue}"]

    def verb(self, *words: str) -> list[str]:
        """Any other command."""
        postroom = [] if self.app else ["postroom"]
        return [*self.program, *postroom, *words, *self.app]

    def within(self, *folders: str) -> bool:
        """Whether something that the commands need lies in one of these folders."""
        needed = [*self.program, self.directory, *self.written, sys.base_prefix, *_project_path(self.environment)]
        return any(Path(path).is_relative_to(folder) for path in needed for folder in folders)


def plan(app: str, user: str | None) -> Plan:
    """Imports the application and reads its queues and settings. ``user``: whom the processes belong to, by default
    the current one. Raises DeclarationError where there is nothing to deploy, SettingsError where the settings
    cannot be."""
    load(app)
    current = settings()
    queues = list(registry.assignments())
    if not queues:
        raise DeclarationError(f"there is nothing to deploy: no queue of {app} has a worker")
    _check_broker(current)
    directory, manage = _place(app, current)
    its = Plan(
        queues=queues,
        program=[sys.executable, str(manage)] if manage else [sys.executable, "-m", "postroom"],
        app=[] if manage else [f"--app={app}"],
        directory=directory,
        user=user or getpass.getuser(),
        environment=_environment(app, current),
        written=_written(app, current),
    )
    _check_text([*its.program, *its.app, its.directory, its.user, *its.environment.values(), *its.written])
    return its


def _place(app: str, current: Settings) -> tuple[str, Path | None]:
    """The folder in which commands start, and in a Django project its ``manage.py``."""
    if app != DJANGO:
        return str(Path.cwd()), None  # from here the application has just been imported
    called = Path(sys.argv[0]).absolute()
    manage = called if called.name == "manage.py" else Path(current.base_dir, "manage.py")
    return current.base_dir, manage if manage.exists() else None


def _check_broker(current: Settings) -> None:
    if current.broker.startswith("memory:"):
        raise SettingsError("memory:// lives in one process, so there is nothing to deploy: use sqlite:// or amqp://")
    for name, url in (("broker", current.broker), ("management", current.management or "")):
        if masked(url) != url:
            raise SettingsError(
                f"the setting {name}, from {current.sources[name]}, holds a password, which has no place in files "
                "for production: put it into a file of its own and name that file in the setting secrets"
            )


def _environment(app: str, current: Settings) -> dict[str, str]:
    """What the application's own settings do not say: they come from a flag or from this environment."""
    found = {}
    for name in ("broker", "secrets", "publish_timeout", "management"):
        if current.sources[name].startswith(("flag", "environment")):
            found[f"POSTROOM_{name.upper()}"] = str(getattr(current, name))
    if app == DJANGO:
        found["DJANGO_SETTINGS_MODULE"] = os.environ["DJANGO_SETTINGS_MODULE"]
    if path := os.environ.get("PYTHONPATH"):
        found["PYTHONPATH"] = os.pathsep.join(str(Path(entry).absolute()) for entry in path.split(os.pathsep))
    return found


def _written(app: str, current: Settings) -> list[str]:
    folders = set()
    if current.broker.startswith("sqlite:"):
        # Besides the file itself, the sockets by which processes wake each other.
        folders |= {str(Path(current.broker.removeprefix("sqlite:///")).parent), tempfile.gettempdir()}
    if app == DJANGO:
        folders |= set(importlib.import_module("postroom.django.written").folders())
    return sorted(folders)


def _project_path(environment: dict[str, str]) -> list[str]:
    return [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]


def _check_text(values: list[str]) -> None:
    for value in values:
        if not value.isprintable() or '"' in value or "'" in value:
            raise SettingsError(
                f"{value!r} has quotes or characters that cannot be printed, which not every file can hold: rename it"
            )
