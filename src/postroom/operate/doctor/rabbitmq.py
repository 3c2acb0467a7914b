"""RabbitMQ's hosts, one by one: who answers, and what it is; no login is needed for this. And what its management API
tells of the queues."""

import socket
import struct
import time
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from postroom.brokers.base import DEAD_SUFFIX
from postroom.brokers.rabbitmq import address, topology
from postroom.brokers.rabbitmq.declaring import Thing
from postroom.brokers.rabbitmq.management import Declaration, Management
from postroom.brokers.rabbitmq.tables import decode
from postroom.errors import PostroomError, SettingsError
from postroom.settings import Settings

from .finding import Finding, ok, problem, warning

TIMEOUT = 5.0
OLDEST = (3, 10)
HARMFUL = {"message-ttl", "expires", "max-length", "max-length-bytes", "delivery-limit"}
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


def management(current: Settings) -> Iterator[Finding]:
    """Asks the management API, where there is one, how the queues are declared: what RabbitMQ does not compare when
    they are declared again, and policies, cannot be seen over AMQP."""
    if current.management is None:
        yield ok(
            "policies",
            "they cannot be seen over AMQP; message-ttl, max-length or expires on Postroom's queues would lose events"
            " (rabbitmqctl list_policies)",
        )
        return
    try:
        api = Management(current.management, address.parse(current.broker), current.broker, current.secrets)
        queues = api.queues()
        found = api.declarations()
    except PostroomError as error:
        yield problem("management", str(error))
        return
    yield ok("management", f"{api.url} tells of {len(queues)} queues of Postroom's")
    for queue in queues:
        for thing in (topology.live_queue(queue)[0], topology.dead_queue(queue)[0]):
            if thing.name in found:
                yield from _declaration(queue, thing, found[thing.name])
    for name, declaration in found.items():
        if name in queues or name.removesuffix(DEAD_SUFFIX) in queues or name.startswith("postroom.delay."):
            yield from _policies(name, declaration)


def _declaration(queue: str, thing: Thing, found: Declaration) -> Iterator[Finding]:
    wanted = thing.how["arguments"]
    for name in sorted(wanted.keys() | found.arguments.keys()):
        if wanted.get(name) != found.arguments.get(name):
            yield warning(
                f"queue {thing.name}",
                f"it is declared otherwise: its {name} is {_shown(found.arguments, name)},"
                f" not {_shown(wanted, name)}",
                f"postroom migrate {queue}; where that finds nothing to do, delete the queue when it is empty",
            )


def _shown(arguments: dict[str, Any], name: str) -> str:
    return repr(arguments[name]) if name in arguments else "none"


def _policies(name: str, found: Declaration) -> Iterator[Finding]:
    for key in sorted(HARMFUL & found.policy.keys()):
        yield warning(
            f"queue {name}",
            f"a policy sets {key} = {found.policy[key]}, by which RabbitMQ throws events away or refuses them",
            "take Postroom's queues out of its pattern: rabbitmqctl list_policies, list_operator_policies",
        )


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
