"""Making a connection to RabbitMQ: finding a host, logging in, and saying what is wrong where that fails."""

import asyncio
import os
import random
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pika

from postroom.errors import BrokerError
from postroom.queues.discovery import DJANGO
from postroom.settings import settings

from . import silence
from .address import Address, tls_context
from .frames import Connection
from .io import Link

CONNECT_TIMEOUT: Final = 5.0  # for TCP; twice that for TCP, TLS and login together
BLOCKED_TIMEOUT: Final = 300.0  # an alarm that lasts longer costs the connection
LONGEST_PAUSE: Final = 4.0  # work goes on within 5 s of a broker's return; the jitter spreads a fleet

# Linux: probe after 20 s of silence. What we send must be acknowledged within two heartbeats: see _parameters.
_TCP_OPTIONS: Final = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}


class CannotConnect(BrokerError):
    """No connection was made. ``permanent`` when trying again will not help."""

    def __init__(self, message: str, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


def pauses(longest: float = LONGEST_PAUSE) -> Iterator[float]:
    """Seconds to wait before each further attempt: exponential, with full jitter, the first below a second."""
    ceiling = 0.5
    while True:
        yield random.uniform(0, ceiling)
        ceiling = min(longest, ceiling * 2)


async def connect(address: Address, password: str, role: str, kind: type[Connection] = Connection) -> "Link":
    """A connection to the first host that accepts one, in random order. ``role`` says to people what it is for.

    Raises CannotConnect, or SettingsError where a TLS file cannot be read.
    """
    failures = []
    for host, port in random.sample(address.hosts, len(address.hosts)):
        context = None if address.tls is None else tls_context(address.tls)
        try:
            for numeric in await _resolve(host, port):
                try:
                    return await _attempt(_parameters(address, host, numeric, port, password, role, context), kind)
                except CannotConnect as failure:
                    if failure.permanent:
                        raise
                    last = failure
            raise last
        except CannotConnect as failure:
            failures.append(CannotConnect(f"RabbitMQ at {host}:{port}: {failure}", failure.permanent))
    sentence = "; ".join(str(failure) for failure in failures)
    raise CannotConnect(f"cannot connect to {sentence}", all(failure.permanent for failure in failures))


async def _resolve(host: str, port: int) -> list[str]:
    """The host's addresses. Asked in a daemon thread: a name server that is silent must not delay an exit."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            permanent = isinstance(error, UnicodeError) or error.errno in _NO_SUCH_HOST
            failure = CannotConnect(f"the host's address cannot be found ({error})", permanent)
            _settle(loop, answer, failure)
        else:
            _settle(loop, answer, list(dict.fromkeys(str(entry[4][0]) for entry in found)))

    threading.Thread(target=ask, name="postroom-resolve", daemon=True).start()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            return await answer
    except TimeoutError:
        raise CannotConnect("the name server does not answer", permanent=False) from None


_NO_SUCH_HOST = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def _settle(loop: asyncio.AbstractEventLoop, future: "asyncio.Future[Any]", result: object) -> None:
    def settle() -> None:
        if future.done():
            return
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:  # the loop was closed while we asked
        return


def _parameters(
    address: Address,
    host: str,
    numeric: str,
    port: int,
    password: str,
    role: str,
    context: ssl.SSLContext | None,
) -> pika.ConnectionParameters:
    return pika.ConnectionParameters(
        host=numeric,
        port=port,
        virtual_host=address.vhost,
        credentials=pika.PlainCredentials(address.user, password, erase_on_connect=True),
        heartbeat=address.heartbeat,
        blocked_connection_timeout=BLOCKED_TIMEOUT,
        socket_timeout=CONNECT_TIMEOUT,
        stack_timeout=2 * CONNECT_TIMEOUT,
        connection_attempts=1,
        ssl_options=None if context is None else pika.SSLOptions(context, host),  # type: ignore[arg-type]
        client_properties={"connection_name": f"postroom: {_program()}@{socket.gethostname()} {role}"},
        tcp_options={**_TCP_OPTIONS, "TCP_USER_TIMEOUT": 2000 * address.heartbeat}
        if sys.platform == "linux"
        else None,
    )


def _program() -> str:
    """The application's name, where the settings name one; else that of the script."""
    app = settings().app
    if app is not None:
        return os.environ.get("DJANGO_SETTINGS_MODULE", app).partition(".")[0] if app == DJANGO else app
    started = Path(sys.argv[0] if sys.argv else "")
    return started.parent.name if started.name == "__main__.py" else started.name or "python"


async def _attempt(parameters: pika.ConnectionParameters, kind: type[Connection]) -> "Link":
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[Exception | str | None] = loop.create_future()

    def settle(result: Exception | str | None) -> None:
        if not opened.done():
            opened.set_result(result)

    connection = kind(
        parameters,
        on_open_callback=lambda _: settle(None),
        on_open_error_callback=lambda _, error: settle(error),
        custom_ioloop=loop,
    )
    try:
        error = await opened
    except asyncio.CancelledError:
        if not connection.is_closed:
            connection.close()
        raise
    if error is not None:
        raise _explained(error, parameters)
    link = Link(connection, loop)
    silence.watch(link, connection)
    return link


def _explained(given: Exception | str, parameters: pika.ConnectionParameters) -> CannotConnect:
    """pika's error, which holds the cause several layers down, as a sentence."""
    text = str(given)
    error: BaseException = given if isinstance(given, BaseException) else Exception(given)
    user = getattr(parameters.credentials, "username", "")
    if "(403)" in text:
        sentence = f"the login of user {user!r} was refused: check user and password"
        return CannotConnect(sentence, permanent=True)
    if "(530)" in text and "limit" not in text:
        sentence = f"the virtual host {parameters.virtual_host!r} does not exist or user {user!r} may not use it"
        return CannotConnect(sentence, permanent=True)
    while True:
        inner = getattr(error, "exceptions", None) or error.args
        cause = inner[-1] if inner else None
        cause = getattr(error, "exception", cause)
        if not isinstance(cause, BaseException):
            break
        error = cause
    if isinstance(error, ssl.SSLCertVerificationError):
        return CannotConnect(f"its certificate is not trusted ({error.verify_message})", permanent=True)
    sentence = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return CannotConnect(sentence, permanent=False)
