"""RabbitMQ's hosts, one by one: who answers, and what it is. No login is needed for this."""

import socket
import struct
import time
from collections.abc import Iterator
from importlib.metadata import version

from postroom.brokers.rabbitmq import address
from postroom.brokers.rabbitmq.management import Management
from postroom.brokers.rabbitmq.tables import decode
from postroom.errors import PostroomError, SettingsError
from postroom.settings import Settings

from .finding import Finding, ok, problem, warning

TIMEOUT = 5.0
OLDEST = (3, 10)
_GREETING = b"AMQP\x00\x00\x09\x01"
_FRAME = struct.Struct(">BHI")  # type, channel, size
_START = bytes((0, 10, 0, 10, 0, 9))  # connection.start of AMQP 0-9-1: class, method, version


class _NotRabbitMQ(Exception):
    """Something else answers there."""


def hosts(url: str) -> Iterator[Finding]:
    """Greets each host of the URL and reads its version from the answer."""
    yield ok("versions", f"pika {version('pika')}")
    try:
        place = address.parse(url)
    except SettingsError as error:
        yield problem("broker", str(error))
        return
    for host, port in place.hosts:
        about = f"host {host}:{port}"
        started = time.monotonic()
        try:
            server = _greet(host, port, place.tls)
        except (OSError, _NotRabbitMQ, SettingsError) as error:
            level = problem if len(place.hosts) == 1 else warning
            yield level(about, f"no RabbitMQ answers: {error}", "is it running, and are host, port and scheme right?")
            continue
        took = 1000 * (time.monotonic() - started)
        if _numbers(server) < OLDEST:
            yield problem(about, f"RabbitMQ {server} is too old", "upgrade it to 3.10 or later")
        else:
            yield ok(about, f"RabbitMQ {server} answers in {took:.0f} ms")
    yield ok(
        "policies",
        "they cannot be seen over AMQP; message-ttl, max-length or expires on Postroom's queues would lose events "
        "(rabbitmqctl list_policies)",
    )


def management(current: Settings) -> Iterator[Finding]:
    """Asks the management API for the queues."""
    try:
        api = Management(str(current.management), address.parse(current.broker), current.broker, current.secrets)
        queues = api.queues()
    except PostroomError as error:
        yield problem("management", str(error))
        return
    yield ok("management", f"{api.url} tells of {len(queues)} queues of Postroom's")


def _greet(host: str, port: int, tls: dict[str, str] | None) -> str:
    """The server's version. Raises OSError, _NotRabbitMQ, SettingsError."""
    with socket.create_connection((host, port), TIMEOUT) as plain:
        if tls is None:
            return _version(plain)
        with address.tls_context(tls).wrap_socket(plain, server_hostname=host) as encrypted:
            return _version(encrypted)


def _version(connection: socket.socket) -> str:
    connection.sendall(_GREETING)
    kind, channel, size = _FRAME.unpack(_exactly(connection, _FRAME.size))
    if kind != 1 or channel != 0 or size > 1 << 16:
        raise _NotRabbitMQ("what answers there does not speak AMQP")
    start = _exactly(connection, size)
    if not start.startswith(_START):
        raise _NotRabbitMQ("what answers there speaks another AMQP than 0-9-1")
    try:
        properties, _ = decode(start, len(_START))
    except (ValueError, IndexError, struct.error) as error:
        raise _NotRabbitMQ(f"its greeting makes no sense: {error}") from error
    return str(properties.get("version", "of unknown version"))


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise _NotRabbitMQ("it closed the connection without an answer")
        data += more
    return data


def _numbers(version: str) -> tuple[int, ...]:
    """``3.10.8`` as numbers; what has none counts as new."""
    parts = version.split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else OLDEST
