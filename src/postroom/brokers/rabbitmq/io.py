"""One connection to RabbitMQ on an asyncio loop, and its channels: every request is awaited with a deadline."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from pika import exceptions

from postroom.errors import BrokerError

from .frames import Connection
from .receiving import Receiver, Taken

REPLY_TIMEOUT: Final = 10.0  # for each request to the broker

log = logging.getLogger("postroom.rabbitmq")

# pika logs every step of a lost connection as an error with a traceback; our own one sentence says it.
if logging.getLogger("pika").level == logging.NOTSET:
    logging.getLogger("pika").setLevel(logging.CRITICAL)


class ChannelClosed(BrokerError):
    """A channel is gone: closed by the broker over a request, with an AMQP reply code, or, with code 0,
    together with its connection."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"RabbitMQ refused: {text} ({code})" if code else text)
        self.code = code


class NoAnswer(BrokerError):
    """The broker did not answer a request in time; the connection has been given up."""


class Link:
    """An open connection. ``lost`` is done, with the reason, as soon as it is gone, whoever ended it."""

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.lost: asyncio.Future[str] = loop.create_future()
        self.blocked = False
        self.closing = False
        self.on_unblocked: Callable[[], None] = lambda: None
        self._connection = connection
        connection.add_on_close_callback(self._on_closed)
        connection.add_on_connection_blocked_callback(lambda *_: self._on_blocked(True))
        connection.add_on_connection_unblocked_callback(lambda *_: self._on_blocked(False))

    @property
    def alive(self) -> bool:
        return not self.lost.done()

    @property
    def max_frame(self) -> int:
        """What a frame may take on this connection, in bytes."""
        assert self._connection.params is not None
        return int(self._connection.params.frame_max)

    @property
    def version(self) -> str:
        """The broker's, as it says."""
        return str((self._connection.server_properties or {}).get("version", ""))

    @property
    def confirms(self) -> dict[int, Callable[[int, bool, bool], None]]:
        """As ``Connection.confirms``."""
        return self._connection.confirms

    @property
    def max_channels(self) -> int:
        """How many channels this connection may have."""
        assert self._connection.params is not None
        return int(self._connection.params.channel_max)

    async def channel(self) -> "Channel":
        """A new channel. Raises BrokerError."""
        opened: asyncio.Future[Any] = self.loop.create_future()
        if not self.alive:
            raise BrokerError(f"the connection to RabbitMQ is gone: {self.lost.result()}")
        try:
            raw = self._connection.channel(on_open_callback=lambda raw: _answer(opened, raw))
        except (exceptions.AMQPError, AssertionError) as error:
            raise BrokerError(f"the connection to RabbitMQ is closing ({error!r})") from error
        channel = Channel(self, raw)
        await channel.reply(opened, "channel.open")
        return channel

    @property
    def receiver(self) -> Receiver:
        """What takes messages past pika."""
        return self._connection.receiver

    def write(self, frames: list[bytes]) -> None:
        """Sends frames, joined so that the system is called once."""
        self._connection.write(b"".join(frames))

    def abort(self, why: str) -> None:
        """Ends the connection without a word to the broker, unless it is being closed properly."""
        if self.alive and not self.closing:
            self._terminate(why)

    async def close(self, timeout: float = 2.0) -> None:
        """Says goodbye, which also makes sure that all sent before has arrived; aborts after ``timeout``."""
        if not self.alive:
            return
        self.closing = True
        if self._connection.is_open:
            self._connection.close()
        done, _ = await asyncio.wait([self.lost], timeout=timeout)
        if not done:
            self._terminate("closed by this program")

    def _terminate(self, why: str) -> None:
        self.lost.set_result(why)
        self._connection.terminate(why)

    def _on_closed(self, _connection: object, error: BaseException) -> None:
        if not self.lost.done():
            self.lost.set_result(_sentence(error))

    def _on_blocked(self, blocked: bool) -> None:
        self.blocked = blocked
        if not blocked:
            self.on_unblocked()


class Channel:
    """A channel of a link. When it is closed by other means than ``close``, all that waits for a reply on it
    raises ChannelClosed, and then ``on_closed`` is called. ``patience``: seconds in which a reply must come."""

    def __init__(self, link: Link, raw: Any) -> None:
        self.link = link
        self.raw = raw
        self.patience = REPLY_TIMEOUT
        self.on_closed: Callable[[ChannelClosed], None] = lambda _: None
        self._awaited: set[asyncio.Future[Any]] = set()
        self._goodbye: asyncio.Future[Any] | None = None
        raw.add_on_close_callback(self._on_closed)

    @property
    def open(self) -> bool:
        return bool(self.raw.is_open) and self.link.alive

    @property
    def number(self) -> int:
        return int(self.raw.channel_number)

    async def call(self, method: str, **arguments: Any) -> Any:
        """Does a request by pika's name for it and returns the reply's method. Raises ChannelClosed, or
        NoAnswer after ``patience``; then the connection is given up."""
        reply: asyncio.Future[Any] = self.link.loop.create_future()

        try:
            getattr(self.raw, method)(callback=lambda frame: _answer(reply, frame.method), **arguments)
        except exceptions.ChannelWrongStateError as error:
            raise BrokerError(f"RabbitMQ's channel is closed, so {method} was not sent") from error
        return await self.reply(reply, f"{method} {arguments.get('queue', '')}".rstrip())

    async def reply(self, future: "asyncio.Future[Any]", request: str) -> Any:
        """The future's result; it fails as ``call`` says."""
        self._awaited.add(future)
        try:
            async with asyncio.timeout(self.patience):
                return await future
        except TimeoutError:
            why = f"RabbitMQ did not answer {request} within {self.patience:.0f} seconds"
            self.link.abort(why)
            raise NoAnswer(f"{why}; the queue may have no leader: see rabbitmq-queues quorum_status") from None
        finally:
            self._awaited.discard(future)

    def take(self, arrived: Callable[[list[Taken]], None]) -> None:
        """All that is delivered on this channel goes to ``arrived``, in lists, and none of it to pika's callbacks."""
        self.link.receiver.take(self.number, arrived)

    async def passive_count(self, queue: str) -> tuple[int, int] | None:
        """Ready messages and consumers of a queue; None, and the channel is closed, where it does not exist."""
        try:
            found = await self.call("queue_declare", queue=queue, passive=True)
        except ChannelClosed as error:
            if error.code != 404:
                raise
            return None
        return found.message_count, found.consumer_count

    async def close(self) -> None:
        """Gives back what is unacknowledged."""
        if not self.open:
            return
        self._goodbye = self.link.loop.create_future()
        self.on_closed = lambda _: None
        self.raw.close()
        await self.reply(self._goodbye, "channel.close")

    def _on_closed(self, _raw: object, error: BaseException) -> None:
        self.link.receiver.leave(self.number)
        if self._goodbye is not None and isinstance(error, exceptions.ChannelClosedByClient):
            _answer(self._goodbye, None)
        if isinstance(error, exceptions.ChannelClosedByBroker):
            reason = ChannelClosed(error.reply_code, error.reply_text)
        else:
            reason = ChannelClosed(0, _sentence(error))
        for future in self._awaited:
            if not future.done():
                future.set_exception(reason)
        self.on_closed(reason)


def _answer(future: "asyncio.Future[Any]", answer: object) -> None:
    if not future.done():
        future.set_result(answer)


def _sentence(error: BaseException) -> str:
    if isinstance(error, exceptions.ConnectionClosed | exceptions.ChannelClosed):
        return f"{error.reply_text} ({error.reply_code})"
    return str(error) or type(error).__name__
