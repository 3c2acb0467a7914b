"""The way of one queue's requests, and of their replies.

The replies come by RabbitMQ's direct reply-to (https://www.rabbitmq.com/docs/direct-reply-to): no queue is made for
them, and they reach only the channel that the request was published on. When that is lost its requests fail at once:
whether they have run nobody here knows, so that none is published again by itself.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from postroom.brokers.pending import Pending
from postroom.errors import NoReply
from postroom.wire.reply import Reply

from . import messages, topology
from .confirms import ConfirmChannel, Outgoing
from .io import ChannelClosed, Link

if TYPE_CHECKING:
    from concurrent.futures import Future

DIRECT: Final = "amq.rabbitmq.reply-to"


class Request(Outgoing, eq=False, kw_only=True):
    """One on its way. ``by``: in monotonic seconds, when it must have been sent; ``why``: what kept it."""

    queue: str
    reply: "Future[Reply]"
    by: float
    timeout: float
    why: str = ""
    again: bool = False


class Line:
    """The channel for one queue's requests: RabbitMQ stops a whole channel while one queue has no leader. Its replies
    come to it, and with it end."""

    def __init__(self, confirms: ConfirmChannel, pending: Pending) -> None:
        self._confirms = confirms
        self._pending = pending
        self._asked: dict[str, Request] = {}
        self._forward: Callable[[ChannelClosed], None] = lambda _: None

    @classmethod
    async def to(cls, link: Link, queue: str, pending: Pending) -> "Line":
        """A new one. Raises BrokerError."""
        await declare(link, queue)
        line = cls(await ConfirmChannel.on(link), pending)
        channel = line._confirms.channel
        line._forward, channel.on_closed = channel.on_closed, line._on_closed
        await channel.call("basic_consume", queue=DIRECT, on_message_callback=line._on_reply, auto_ack=True)
        return line

    @property
    def open(self) -> bool:
        return self._confirms.channel.open

    @property
    def blocked(self) -> bool:
        return self._confirms.channel.link.blocked

    def ask(self, requests: list[Request]) -> None:
        """Publishes them; the caller's ``settled`` hears of each."""
        for request in requests:
            self._asked[request.id] = request
            request.reply.add_done_callback(partial(self._over, request.id))
        self._confirms.publish(requests)

    def _over(self, identity: str, _: "Future[Reply]") -> None:
        self._asked.pop(identity, None)

    def _on_reply(self, _raw: object, _method: object, properties: bytes, body: bytes) -> None:
        correlation, reply = messages.decode_reply(properties, body)
        self._pending.answer(correlation, reply)

    def _on_closed(self, reason: ChannelClosed) -> None:
        for identity, request in list(self._asked.items()):
            sentence = (
                f"no reply can come to the request {identity} of queue {request.queue!r}, which may have run: the "
                f"channel to RabbitMQ is gone ({reason}); ask again where that does no harm"
            )
            self._pending.fail(identity, NoReply(sentence))
        self._forward(reason)


async def declare(link: Link, queue: str) -> None:
    """The queue of a request. Raises BrokerError."""
    await topology.declare_exchanges(link)
    await topology.declare_queue(link, queue)
