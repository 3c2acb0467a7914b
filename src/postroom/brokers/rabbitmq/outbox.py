"""The second connection of a hold: retries and burials go out here, so that an alarm, which stops everything
on a connection that publishes, does not stop acknowledgements."""

import asyncio
from collections.abc import Awaitable, Callable

from pika import BasicProperties

from postroom.errors import BrokerError
from postroom.wire.reply import Reply

from . import delays, topology
from .confirms import ConfirmChannel, Outcome, Outgoing
from .io import Channel, ChannelClosed, Link, log


class Outbox:
    """Connects when it is first used, and again when it must."""

    def __init__(self, connect: Callable[[], Awaitable[Link]]) -> None:
        self._connect = connect
        self._lock = asyncio.Lock()
        self._link: Link | None = None
        self._channels: dict[str, ConfirmChannel] = {}  # of queues that are declared
        self._replies: Channel | None = None
        self._ladder = False  # is declared

    async def send(
        self, queue: str, identity: str, exchange: str, key: str, properties: bytes, body: bytes
    ) -> Outcome:
        """Publishes for ``queue`` and waits, without limit, for what becomes of it. Raises BrokerError or
        SettingsError when there is no connection."""
        confirms = await self._ready(queue, delayed=exchange != topology.EXCHANGE)
        verdict: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def settled(_: Outgoing, outcome: Outcome) -> None:
            if outcome is not Outcome.CONFIRMED and self._channels.get(queue) is confirms:
                del self._channels[queue]  # refused: see Sender._refused
            if outcome is Outcome.RETURNED:  # somebody deleted the queue: declare it anew
                self._ladder = False
            if not verdict.done():
                verdict.set_result(outcome)

        confirms.publish([Outgoing(identity, exchange, key, properties, body, settled)])
        outcome = await verdict
        if outcome is not Outcome.CONFIRMED and confirms.idle and confirms.open:
            await confirms.close()
        return outcome

    async def reply(self, address: str, correlation: str, reply: Reply) -> None:
        """Sends a reply, unconfirmed: where nobody awaits it any more, it is dropped. Raises BrokerError or
        SettingsError when there is no connection."""
        async with self._lock:
            link = await self._linked()
            if self._replies is None or not self._replies.open:
                self._replies = await link.channel()
                self._replies.on_closed = self._on_replies_closed
            channel = self._replies
        if link.blocked:  # written, it would wait here without bounds
            raise BrokerError("RabbitMQ is low on memory or disk and has stopped all publishers")
        properties = BasicProperties(
            content_type="application/json", correlation_id=correlation, headers=reply.headers or None
        )
        channel.raw.basic_publish("", address, reply.body, properties)

    def _on_replies_closed(self, reason: ChannelClosed) -> None:
        # Nobody waits to be told: the replies that it takes along are not confirmed.
        if reason.code:
            log.error("replies to requests cannot be sent, and whoever waits for them gets none: %s", reason)

    async def close(self) -> None:
        if self._link is not None:
            await self._link.close()

    async def _ready(self, queue: str, delayed: bool) -> ConfirmChannel:
        async with self._lock:
            link = await self._linked()
            confirms = self._channels.get(queue)
            if confirms is None or not confirms.channel.open:
                await self._declare(link, queue)
                confirms = self._channels[queue] = await ConfirmChannel.on(link)
            if delayed and not self._ladder:
                await delays.declare_ladder(link)
                self._ladder = True
            return confirms

    async def _linked(self) -> Link:
        if self._link is None or not self._link.alive:
            self._channels.clear()
            self._ladder = False
            self._link = await self._connect()
        return self._link

    async def _declare(self, link: Link, queue: str) -> None:
        await topology.declare_exchanges(link)
        await topology.declare_queue(link, queue)
