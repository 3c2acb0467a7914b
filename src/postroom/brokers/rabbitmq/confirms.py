"""A channel whose publishes the broker confirms, one by one or many at once, in any order."""

import enum
import threading
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from . import frames, messages
from .io import Channel, ChannelClosed, Link


class Outcome(enum.Enum):
    """What became of a publish."""

    CONFIRMED = "confirmed"
    REFUSED = "refused"  # the broker does not take it: a full queue, for example
    RETURNED = "returned"  # no queue is bound to its key
    LOST = "lost"  # the channel went away first: it may be in the queue or not


class Outgoing(Struct, eq=False):
    """One message on its way, and who wants to know. ``properties`` are encoded."""

    id: str
    exchange: str
    key: str
    properties: bytes
    body: bytes
    settled: Callable[["Outgoing", Outcome], None]
    returned: bool = False


class ConfirmChannel:
    """Publishes in order. ``settled`` of each message is called exactly once, on the loop's thread.

    Each queue gets a channel of its own: RabbitMQ stops a whole channel while one queue has no leader.
    ``orphans`` counts messages that nobody waits for any more, and ``used`` grows with each use; the sender's side
    keeps both. ``lock`` is held by whoever numbers messages and sends them. ``end`` says why the channel was closed.
    """

    def __init__(self, channel: Channel, lock: "threading.RLock") -> None:
        self.channel = channel
        self.lock = lock
        self.orphans = 0
        self.used = 0
        self.open = True
        self.end = "the connection was lost"
        self._next = 1
        self._lowest = 1  # no tag below it is open
        self._open: dict[int, Outgoing] = {}
        self._method: tuple[str, str, bytes] = ("", "", b"")  # the latest exchange, key and frame for them

    @classmethod
    async def on(cls, link: Link, lock: "threading.RLock | None" = None) -> "ConfirmChannel":
        """A new channel of ``link``. Raises BrokerError."""
        confirms = cls(await link.channel(), lock or threading.RLock())
        raw = confirms.channel.raw
        await confirms.channel.call("confirm_delivery", ack_nack_callback=confirms._on_confirm)
        raw.add_on_return_callback(confirms._on_return)
        link.confirms[confirms.channel.number] = confirms.resolve
        confirms.channel.on_closed = confirms._on_closed
        return confirms

    @property
    def idle(self) -> bool:
        """Nothing is on its way."""
        return not self._open

    # Writing: any thread, with the lock

    def publish(self, batch: Sequence[Outgoing]) -> None:
        """Sends the messages with one write."""
        with self.lock:
            self.channel.link.write(self.frames(batch))

    def frames(self, batch: Sequence[Outgoing]) -> list[bytes]:
        """The messages' frames, to be written at once and in order: they are numbered now."""
        number, room = self.channel.number, self.channel.link.max_frame - 8
        exchange, key, method = self._method
        pieces: list[bytes] = []
        for message in batch:
            if message.key != key or message.exchange != exchange:
                exchange, key = message.exchange, message.key
                method = frames.method(number, exchange, key)
                self._method = exchange, key, method
            pieces.append(method)
            frames.add_content(pieces, number, message.properties, message.body, room)
        first, self._next = self._next, self._next + len(batch)
        self._open.update(zip(range(first, self._next), batch, strict=True))
        return pieces

    def take_back(self, batch: Sequence[Outgoing]) -> None:
        """The latest messages, numbered and then not sent after all. The channel is of no use any more."""
        for tag in range(self._next - len(batch), self._next):
            del self._open[tag]

    # Resolving: the loop's thread

    def resolve(self, tag: int, multiple: bool, positive: bool) -> None:
        """The broker has confirmed a tag, or all up to it, or refused them."""
        outcome = Outcome.CONFIRMED if positive else Outcome.REFUSED
        if not multiple:
            self._settle(tag, outcome)
            return
        for each in range(self._lowest, tag + 1):
            self._settle(each, outcome)
        self._lowest = max(self._lowest, tag + 1)

    def _settle(self, tag: int, outcome: Outcome) -> None:
        message = self._open.pop(tag, None)
        if message is not None:
            message.settled(message, Outcome.RETURNED if message.returned else outcome)

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        self.resolve(method.delivery_tag, method.multiple, method.NAME == "Basic.Ack")

    def _on_return(self, _channel: object, method: Any, properties: bytes, _body: bytes) -> None:
        # A return names no tag. It precedes the confirm of its message, which will then mean "returned".
        identity = messages.identity(properties)
        for message in list(self._open.values()):
            same = message.id == identity and message.key == method.routing_key
            if same and message.exchange == method.exchange and not message.returned:
                message.returned = True
                return

    async def close(self) -> None:
        """When it is idle."""
        self.open = False
        self.channel.link.confirms.pop(self.channel.number, None)
        await self.channel.close()

    def _on_closed(self, reason: ChannelClosed) -> None:
        self.channel.link.confirms.pop(self.channel.number, None)
        if reason.code:
            self.end = str(reason)
        with self.lock:
            self.open = False
            lost, self._open = self._open, {}
        for message in lost.values():
            message.settled(message, Outcome.LOST)
