"""The doctor's round: versions, application, settings, broker, queues."""

import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from postroom.brokers.base import Broker
from postroom.brokers.connect import connect
from postroom.errors import PostroomError
from postroom.operate.application import load
from postroom.settings import SETTINGS, Settings, masked, settings

from . import queues
from .finding import Finding, ok, problem, warning


def diagnose() -> Iterator[Finding]:
    """Looks at one thing after another; what stands in the way of the rest ends the round."""
    yield ok("versions", f"Postroom {version('postroom')}, Python {sys.version.split()[0]}")
    try:
        app = settings().app
        if app is None:
            yield warning(
                "application",
                "none was named, so that only the broker is looked at",
                "name it with --app MODULE or POSTROOM_APP",
            )
        else:
            load(app)
            yield ok("application", f"{app} is imported")
        current = settings()
    except PostroomError as error:
        yield problem("application", str(error))
        return
    yield from _settings(current)
    yield from _broker(current)


def _settings(current: Settings) -> Iterator[Finding]:
    for name in SETTINGS:
        value = getattr(current, name)
        shown = masked(value) if name in ("broker", "management") and value else str(value)
        if value is not None:
            yield ok("settings", f"{name} = {shown} from {current.sources[name]}")
    if current.secrets is not None:
        yield from _secrets(Path(current.secrets))
    elif masked(current.broker) != current.broker:
        yield warning(
            "settings",
            f"the broker's password stands in its URL, from {current.sources['broker']}",
            "put it into a file of its own and name that in the setting secrets",
        )


def _secrets(path: Path) -> Iterator[Finding]:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        yield problem("settings", f"the secrets file cannot be read: {error}", "create it, or correct the setting")
        return
    if mode & 0o007:
        yield warning("settings", f"every user may read the secrets in {path}", f"chmod o= {path}")


def _broker(current: Settings) -> Iterator[Finding]:
    kind = current.broker.partition(":")[0]
    if kind == "memory":
        yield warning(
            "broker",
            f"{current.broker} lives inside one process: nothing is kept, and no other process sees it",
            "set the broker to sqlite:///postroom.db or amqp://…, but for tests",
        )
        return
    if kind == "sqlite":
        from . import sqlite

        path = Path(current.broker.removeprefix("sqlite:///"))
        yield from sqlite.file(path)
        if not path.exists():  # the doctor only looks: connecting would make it
            return
    elif kind in ("amqp", "amqps"):
        from . import rabbitmq

        yield from rabbitmq.hosts(current.broker)
        yield from rabbitmq.management(current)
    try:
        broker = connect(current.broker, current.secrets, current.management)
        started = time.monotonic()
        delayed = broker.delayed()
    except PostroomError as error:
        yield problem("broker", str(error))
        return
    yield ok("broker", f"{broker.url} answered in {1000 * (time.monotonic() - started):.0f} ms")
    yield from _queues(broker, delayed, current)


def _queues(broker: Broker, delayed: int, current: Settings) -> Iterator[Finding]:
    try:
        yield from queues.each(broker)
        if current.broker.startswith("amqp"):
            from . import leaders

            yield from leaders.each(broker, current)
    except PostroomError as error:
        yield problem("queues", str(error))
    finally:
        broker.close()
    yield ok("queues", f"delayed until their time: {delayed:,}")
