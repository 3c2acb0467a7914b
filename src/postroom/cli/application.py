"""From a command's flags to the application and its broker."""

import sys
from pathlib import Path
from typing import Any

from postroom.brokers.base import Broker
from postroom.errors import PostroomError
from postroom.settings import Settings, override, settings

from .usage import UsageError


def settings_for(args: Any) -> Settings:
    """The settings in force for a command, before anything of the application is imported."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:  # the script `postroom` starts without it
        sys.path.insert(0, here)
    override(app=args.app, broker=args.broker)
    return settings()


def application_for(args: Any) -> tuple[str, Settings]:
    """The application a command runs, not imported yet, and the settings in force. Raises UsageError where none is
    named."""
    current = settings_for(args)
    if current.app is None:
        raise UsageError("which application? Name its module with --app MODULE or POSTROOM_APP")
    return current.app, current


def broker_for(args: Any) -> Broker:
    """The broker a command speaks to. Where an application is given it is imported, so that its settings and
    queues are known. Raises PostroomError."""
    _hear_the_log()
    current = settings_for(args)
    if current.app is not None:
        from postroom.operate.application import load

        load(current.app)
        current = settings()
    elif current.broker.startswith("sqlite:"):
        _refuse_missing_file(current)
    from postroom.publish.door import broker

    return broker()


def _hear_the_log() -> None:
    """What goes wrong is told in the command's one line; logged to nobody in particular it would be another one. Only
    what does not end the command is told from the log."""
    import logging  # --help does without

    logging.getLogger("postroom").addHandler(logging.NullHandler())
    degraded = logging.StreamHandler()
    degraded.setFormatter(logging.Formatter("postroom: %(message)s"))
    logging.getLogger("postroom.management").handlers[:] = [degraded]


def _refuse_missing_file(current: Settings) -> None:
    """Where no application says that a new file is meant, a wrong name must not make one."""
    file = Path(current.broker.removeprefix("sqlite:///"))
    if file.exists():
        return
    if current.sources["broker"] == "default":
        raise PostroomError(
            "which broker? Name the application with --app MODULE (or POSTROOM_APP), or the broker with "
            "--broker URL (or POSTROOM_BROKER); there is no postroom.db in this folder either"
        )
    raise PostroomError(f"there is no file {file}: correct the broker's URL, or name the application with --app")
