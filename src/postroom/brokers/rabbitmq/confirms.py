"""A channel whose publishes the broker confirms, one by one or many at once, in any order."""

import enum
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
    """Publishes in order. ``settled`` of each message is called exactly once.

    Each queue gets a channel of its own: RabbitMQ stops a whole channel while one queue has no leader.
    ``orphans`` counts messages that nobody waits for any more; it is kept by the sender.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.orphans = 0
        self._next = 1
        self._lowest = 1  # no tag below it is open
        self._open: dict[int, Outgoing] = {}

    @classmethod
    async def on(cls, link: Link) -> "ConfirmChannel":
        """A new channel of ``link``. Raises BrokerError."""
        confirms = cls(await link.channel())
        raw = confirms.channel.raw
        await confirms.channel.call("confirm_delivery", ack_nack_callback=confirms._on_confirm)
        raw.add_on_return_callback(confirms._on_return)
        confirms.channel.on_closed = confirms._on_closed
        return confirms

    def publish(self, batch: Sequence[Outgoing]) -> None:
        """Sends the messages with one write."""
        self.channel.link.write(self.frames(batch))

    def frames(self, batch: Sequence[Outgoing]) -> list[bytes]:
        """The messages' frames, to be written at once and in order: they are numbered now."""
        number, room = self.channel.number, self.channel.link.max_frame
        written = []
        for message in batch:
            self._open[self._next] = message
            self._next += 1
            written.append(
                frames.publish(number, message.exchange, message.key, message.properties, message.body, room)
            )
        return written

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        outcome = Outcome.CONFIRMED if method.NAME == "Basic.Ack" else Outcome.REFUSED
        tag = method.delivery_tag
        if not method.multiple:
            self._settle(tag, outcome)
            return
        for each in range(self._lowest, tag + 1):
            self._settle(each, outcome)
        self._lowest = max(self._lowest, tag + 1)

    def _settle(self, tag: int, outcome: Outcome) -> None:
        message = self._open.pop(tag, None)
        if message is not None:
            message.settled(message, Outcome.RETURNED if message.returned else outcome)

    def _on_return(self, _channel: object, method: Any, properties: bytes, _body: bytes) -> None:
        # A return names no tag. It precedes the confirm of its message, which will then mean "returned".
        identity = messages.identity(properties)
        for message in self._open.values():
            same = message.id == identity and message.key == method.routing_key
            if same and message.exchange == method.exchange and not message.returned:
                message.returned = True
                return

    def _on_closed(self, _: ChannelClosed) -> None:
        lost, self._open = self._open, {}
        for message in lost.values():
            message.settled(message, Outcome.LOST)
