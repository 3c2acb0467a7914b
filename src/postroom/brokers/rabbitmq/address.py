"""A broker's URL, taken apart: which hosts, which virtual host, whose login, and whether by TLS."""

import ssl
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct

from postroom.errors import SettingsError, did_you_mean

PORTS: Final = {"amqp": 5672, "amqps": 5671}
TLS_OPTIONS: Final = ("cafile", "certfile", "keyfile", "verify")
HEARTBEAT: Final = 15  # seconds; silence is noticed within twice that


class Address(Struct, frozen=True):
    """Where the broker is. ``tls`` is None for plain TCP, else the options of the URL; ``heartbeat`` in seconds."""

    hosts: tuple[tuple[str, int], ...]
    user: str
    vhost: str
    tls: dict[str, str] | None
    heartbeat: int


def parse(url: str) -> Address:
    """``amqp://user@host1,host2:5673/vhost`` or ``amqps://…?cafile=/etc/ca.pem``.

    The virtual host is ``/`` where the URL names none. ``?heartbeat=`` sets the seconds between heartbeats (15 by
    default, 1 to 600; https://www.rabbitmq.com/docs/uri-query-parameters). Options of ``amqps``: ``cafile``
    (instead of the system's authorities), ``certfile`` and ``keyfile`` (this client's own certificate),
    ``verify=none``.
    Raises SettingsError.
    """
    parts = urlsplit(url)
    default_port = PORTS[parts.scheme]
    login, _, places = parts.netloc.rpartition("@")
    hosts = tuple(_host_and_port(place, default_port) for place in places.split(","))
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    known = ("heartbeat", *TLS_OPTIONS) if parts.scheme == "amqps" else ("heartbeat",)
    for name in options:
        if name not in known:
            raise SettingsError(f"the broker URL has an unknown option {name!r}{did_you_mean(name, known)}")
    if options.get("verify", "none") != "none":
        raise SettingsError(f"verify={options['verify']} in the broker URL: the only choice is verify=none")
    for name in ("cafile", "certfile", "keyfile"):
        if name in options and not Path(options[name]).is_absolute():
            raise SettingsError(f"{name}={options[name]} in the broker URL must be an absolute path")
    return Address(
        hosts=hosts,
        user=unquote(login.partition(":")[0]) or "guest",
        vhost=unquote(parts.path.removeprefix("/")) or "/",
        tls=options if parts.scheme == "amqps" else None,
        heartbeat=_heartbeat(options.get("heartbeat", str(HEARTBEAT))),
    )


def _heartbeat(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 600):
        raise SettingsError(f"heartbeat={text} in the broker URL: give whole seconds, 1 to 600")
    return int(text)


def _host_and_port(place: str, default_port: int) -> tuple[str, int]:
    host, port = place, ""
    if place.startswith("["):  # an IPv6 address
        host, _, rest = place[1:].partition("]")
        port = rest.removeprefix(":")
    elif ":" in place:
        host, _, port = place.partition(":")
    if not host or not (port == "" or (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
        raise SettingsError(f"{place!r} in the broker URL is no host: write amqp://user@host:5672/vhost")
    return host, int(port) if port else default_port


def tls_context(options: dict[str, str]) -> ssl.SSLContext:
    """A context that verifies the broker's certificate and name. Made anew for each connection, so that
    renewed certificates are taken up. Raises SettingsError where a file cannot be read."""
    try:
        context = ssl.create_default_context(cafile=options.get("cafile"))
        if "certfile" in options:
            context.load_cert_chain(options["certfile"], options.get("keyfile"))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"the broker URL's TLS files cannot be used: {error}") from error
    if options.get("verify") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
