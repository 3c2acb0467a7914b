"""Where the broker is and how to log in: settings, and where each of them came from.

A command's flag beats the environment beats ``configure(...)`` (in Django: ``POSTROOM``) beats the default.
"""

import os
import sys
from collections.abc import Mapping, Sequence

from msgspec import Struct

from .errors import SettingsError, did_you_mean

DEFAULT_BROKER = "sqlite:///postroom.db"
PROCESSORS = "processors"
"""What ``postroom run`` calls the processors among its programs."""


class Settings(Struct):
    """What a process runs with. Paths are absolute; ``sources`` says where each setting came from."""

    broker: str = DEFAULT_BROKER
    secrets: str | None = None
    app: str | None = None
    publish_timeout: float = 5.0
    management: str | None = None
    programs: dict[str, list[str]] = {}
    base_dir: str = ""
    sources: dict[str, str] = {}


SETTINGS = ("broker", "secrets", "app", "publish_timeout", "management", "programs")

_configured: dict[str, object] = {}
_configured_by = "default"
_base_dir: str | None = None
_flags: dict[str, object] = {}
_changes = 0


def configure(
    *,
    broker: str | None = None,
    secrets: str | os.PathLike[str] | None = None,
    app: str | None = None,
    publish_timeout: float | None = None,
    management: str | None = None,
    programs: Mapping[str, str | Sequence[str]] | None = None,
    base_dir: str | os.PathLike[str] | None = None,
) -> None:
    """Settings of an application that is not Django's. Call it once, where the application is imported.

    ``broker``: a URL, ``sqlite:///postroom.db`` by default. ``secrets``: an INI file whose section
    ``[secrets]`` has ``rabbitmq_password = …``, or a file that is the password in one line. ``app``: the module
    that declares queues and workers, for commands. ``publish_timeout``: seconds. ``management``: where RabbitMQ's
    management API answers, ``http://mq1:15672``, which tells commands more than AMQP does. ``programs``: what
    ``postroom run`` starts beside the processors, by name: ``{"web": "python manage.py runserver"}``. Relative paths
    start at ``base_dir``, by default the folder of the module that calls this.
    """
    given = {
        "broker": broker,
        "secrets": secrets,
        "app": app,
        "publish_timeout": publish_timeout,
        "management": management,
        "programs": programs,
    }
    if base_dir is None:
        from pathlib import Path

        base_dir = Path(sys._getframe(1).f_code.co_filename).resolve().parent
    use({name: value for name, value in given.items() if value is not None}, base_dir, "configure()")


def use(given: Mapping[str, object], base_dir: str | os.PathLike[str], source: str) -> None:
    """Takes ``given`` as the application's settings, replacing earlier ones. Raises SettingsError."""
    global _configured, _base_dir, _configured_by, _changes
    settings = {name.lower(): value for name, value in given.items()}
    for name in settings:
        if name not in SETTINGS:
            raise SettingsError(f"unknown setting {name!r} in {source}{did_you_mean(name, SETTINGS)}")
    _configured, _base_dir, _configured_by = settings, os.fspath(base_dir), source
    _changes += 1


def override(**flags: object) -> None:
    """Settings from a command's flags, which beat all others; None removes one."""
    global _changes
    for name, value in flags.items():
        if value is None:
            _flags.pop(name, None)
        else:
            _flags[name] = value
    _changes += 1


def changes() -> int:
    """Grows whenever settings are given, so that what was built from older ones can be built again."""
    return _changes


def settings() -> Settings:
    """The settings in force. Raises SettingsError when one of them is malformed."""
    from pathlib import Path

    base = _base_dir or str(Path.cwd())
    found: dict[str, object] = {}
    sources: dict[str, str] = {}
    for name in SETTINGS:
        variable = f"POSTROOM_{name.upper()}"
        for source, value in (
            ("flag", _flags.get(name)),
            (f"environment ({variable})", os.environ.get(variable) or None if name != "programs" else None),
            (_configured_by, _configured.get(name)),
        ):
            if value is not None:
                found[name], sources[name] = value, source
                break
        else:
            sources[name] = "default"
    broker = found.get("broker", DEFAULT_BROKER)
    if not isinstance(broker, str):
        raise SettingsError(f"the setting broker must be a URL in text, not {type(broker).__name__}")
    if sources["broker"] in ("flag", "environment (POSTROOM_BROKER)"):
        base_of_broker = str(Path.cwd()) if sources["broker"] == "flag" else base
    else:
        base_of_broker = base
    secrets = found.get("secrets")
    app = found.get("app")
    management = found.get("management")
    return Settings(
        broker=_absolute_broker(broker, base_of_broker),
        secrets=None if secrets is None else str(Path(base, os.fspath(secrets))),  # type: ignore[call-overload]
        app=None if app is None else str(app),
        publish_timeout=_seconds(found.get("publish_timeout", 5.0), sources["publish_timeout"]),
        management=None if management is None else str(management),
        programs=_programs(found.get("programs", {}), sources["programs"]),
        base_dir=base,
        sources=sources,
    )


def _seconds(value: object, source: str) -> float:
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 < seconds <= 3600:
        raise SettingsError(f"publish_timeout from {source} is {value!r}: give seconds, above 0 and up to 3600")
    return seconds


def _programs(value: object, source: str) -> dict[str, list[str]]:
    import shlex

    if not isinstance(value, Mapping):
        raise SettingsError(f'programs from {source} must be a dict such as {{"web": "python manage.py runserver"}}')
    programs: dict[str, list[str]] = {}
    for name, command in value.items():
        words = shlex.split(command) if isinstance(command, str) else [os.fspath(word) for word in command]
        if not words or not str(name).isidentifier() or name == PROCESSORS:
            raise SettingsError(
                f"programs from {source} has {name!r}: {command!r}; a name is a word other than {PROCESSORS!r},"
                " and a command begins with a program"
            )
        programs[str(name)] = words
    return programs


def _absolute_broker(url: str, base: str) -> str:
    if not url.startswith("sqlite:"):
        return url
    from pathlib import Path

    path = url.removeprefix("sqlite:").removeprefix("//")
    path = path.removeprefix("/") if not path.startswith("//") else path[1:]
    if not path or "?" in path or "#" in path:
        raise SettingsError(f"the broker URL {url!r} names no file; write sqlite:///postroom.db")
    return f"sqlite:///{Path(base, path).resolve()}"


def masked(url: str) -> str:
    """The URL with its password, if it has one, replaced: fit for logs and screens."""
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    if ":" not in login:
        return url
    return urlunsplit(parts._replace(netloc=f"{login.partition(':')[0]}:***{at}{hosts}"))


def rabbitmq_password(url: str, secrets: str | None) -> str:
    """The password for ``url``: from the secrets file if there is one, else from the URL, else ``guest``.

    Read anew for each connection, so that a rotated password is taken up. Raises SettingsError.
    """
    if secrets is None:
        from urllib.parse import unquote, urlsplit

        login = urlsplit(url).netloc.rpartition("@")[0]
        return unquote(login.partition(":")[2]) or "guest"
    from pathlib import Path

    try:
        text = Path(secrets).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the secrets file {secrets}: {error}") from error
    if "[secrets]" not in text:
        return text.strip()
    import configparser

    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
        return parser["secrets"]["rabbitmq_password"]
    except (configparser.Error, KeyError):
        # The error's own text may quote the file, so it is not passed on.
        raise SettingsError(f"{secrets} has no rabbitmq_password in its section [secrets]") from None
