"""A queue that a hold takes events from: one channel, one consumer on it, and what is in hand."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from postroom.brokers.base import Delivery
from postroom.errors import BrokerError

from . import frames, messages, topology
from .acks import Acks
from .connecting import pauses
from .io import Channel, ChannelClosed, Link
from .receiving import Taken

TOGETHER: Final = 100  # acknowledgements that are sent at once without waiting for more
GATHERING: Final = 0.005  # seconds in which acknowledgements are gathered
# Milliseconds, 24 days, the most that every version takes: how long a job may run is decided by its own time limit.
# What does not know it ignores it: see ``patience``.
CONSUMER_TIMEOUT: Final = 2**31 - 1
LONGEST_PAUSE: Final = 15.0  # between attempts to take from a queue that cannot be taken from
SOUND: Final = 5.0  # seconds after which a subscription that is lost counts as the first in a row


class Tag(Struct, eq=False):
    """The broker's handle of a delivery: a number that means something on one channel only."""

    source: "Source"
    channel: Channel
    number: int


class Source:
    """``wanted`` is the prefetch that is asked for, None for no deliveries; ``align`` makes it so."""

    def __init__(
        self,
        queue: str,
        name: str,
        arrived: Callable[[list[Delivery]], None],
        taken_back: Callable[["Source", Channel, str], None],
    ) -> None:
        self.queue = queue
        self.events_of = queue  # what the listener knows it by
        self.wanted: int | None = None
        self.paused: bool | None = None  # not known yet
        self.told_paused = False
        self.asking = asyncio.Lock()  # so that answers are taken in the order of the questions
        self.doubtful = False  # the queue did not answer the last time: ``probe`` before ``align``
        self._name = name
        self._arrived = arrived
        self._taken_back = taken_back
        self._void: asyncio.Future[None] | None = None
        self.attempt: asyncio.TimerHandle | None = None  # to take from it again
        self._since = 0.0  # when the subscription was confirmed
        self._waits = pauses(LONGEST_PAUSE)
        self._align_lock = asyncio.Lock()
        self._consumers = 0
        self._timer: asyncio.TimerHandle | None = None
        self._channel: Channel | None = None
        self._clear()

    def _clear(self) -> None:
        self._channel = None
        self._consumer: str | None = None
        self._limit: int | None = None
        self._holding_back = False
        self._acks = Acks()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def fall(self) -> None:
        """The channel is gone, or to be given up: all that was delivered is void."""
        self._clear()
        if self._void is not None:
            self._void.set_result(None)
            self._void = None

    @property
    def void(self) -> "asyncio.Future[None]":
        """Done when what is in hand now becomes void."""
        if self._void is None:
            self._void = asyncio.get_running_loop().create_future()
        return self._void

    def holds(self, tag: Tag) -> bool:
        """Whether the delivery is still in hand, on a channel that lives."""
        return tag.channel is self._channel and tag.channel.open and tag.number in self._acks

    @property
    def aligned(self) -> bool:
        """What is consumed is what is wanted."""
        limit = self.wanted if self.paused is False else None
        return not self._align_lock.locked() and self._limit == limit

    @property
    def free(self) -> bool:
        """It is subscribed, and the broker may hand out more to it."""
        unsettled = self._acks.in_hand + self._acks.unsent
        return self._limit is not None and self.aligned and unsettled < self._limit

    def forsake(self) -> Channel | None:
        """Takes nothing more from its channel, and what was delivered is void. The channel, for its end."""
        channel = self._channel
        self.fall()
        return channel

    # What is consumed

    async def align(self, link: Link) -> None:
        """Subscribes, cancels or changes the prefetch until all is as it is wanted. Raises BrokerError."""
        async with self._align_lock:
            while link.alive and not link.closing:
                limit = self.wanted if self.paused is False else None
                if self._channel is None:
                    if limit is None:
                        return
                    await self._open(link)
                elif self._limit == limit:
                    return
                elif limit is None:
                    await self._cancel(self._consumer)
                elif self._consumer is None:
                    await self._consume(limit)
                else:
                    await self._change(limit)

    async def probe(self, link: Link) -> None:
        """Whether the queue answers, asked on a connection that may be lost over it. Raises BrokerError."""
        channel = await link.channel()
        await channel.call("basic_qos", prefetch_count=1)
        # What it hands out comes back when the channel closes.
        await channel.call("basic_consume", queue=self.queue, on_message_callback=lambda *_: None)
        await channel.close()
        self.doubtful = False

    async def _open(self, link: Link) -> None:
        await self._declare(link)
        channel = await link.channel()
        channel.on_closed = lambda reason: self._on_closed(channel, reason)
        channel.take(lambda taken: self._on_messages(channel, taken))
        channel.raw.add_on_cancel_callback(lambda _: self._on_lost(channel, "RabbitMQ ended the subscription"))
        self._clear()
        self._channel = channel

    async def _declare(self, link: Link) -> None:
        await topology.declare_queue(link, self.queue)

    def _returns(self, count: int) -> int:
        """How often an event came back without an outcome, by the broker's count."""
        return count

    def _on_closed(self, channel: Channel, reason: ChannelClosed) -> None:
        if reason.code:  # else the connection is gone, and all queues with it
            self._on_lost(channel, str(reason))

    def _on_lost(self, channel: Channel, why: str) -> None:
        if channel is self._channel:
            self.fall()
            self._taken_back(self, channel, why)

    async def _consume(self, limit: int) -> None:
        assert self._channel is not None
        # A tag is never used twice on a channel: RabbitMQ 3.10 closes the connection over it (541).
        self._consumers += 1
        self._consumer = f"{self._name}-{self._consumers}"
        self._limit = limit
        await self._channel.call("basic_qos", prefetch_count=limit)
        await self._channel.call(
            "basic_consume",
            queue=self.queue,
            on_message_callback=_never,
            consumer_tag=self._consumer,
            arguments={"x-consumer-timeout": CONSUMER_TIMEOUT},
        )
        self._since = self._channel.link.loop.time()

    def pause(self) -> float:
        """Seconds until the next attempt to take from this queue: few for one that was sound, then more."""
        if self._since and asyncio.get_running_loop().time() - self._since > SOUND:
            self._waits = pauses(LONGEST_PAUSE)
        self._since = 0.0
        return next(self._waits)

    async def _cancel(self, consumer: str | None) -> None:
        """What is in hand stays; what is on its way comes to us, or is sent back by the broker and counted."""
        assert self._channel is not None
        if consumer == self._consumer:
            self._consumer, self._limit = None, None
        await self._channel.call("basic_cancel", consumer_tag=consumer)

    async def _change(self, limit: int) -> None:
        """A prefetch holds for one consumer from its start to its end, so another one must take over.

        Acknowledgements wait meanwhile. The old consumer's credit is used up then, and by the time the new one
        is confirmed all that was sent to the old one is here; else the broker would count it as returned.
        """
        old = self._consumer
        self._holding_back = True
        try:
            await self._consume(limit)
            await self._cancel(old)
        finally:
            self._holding_back = False
        self._send_soon()

    def _on_messages(self, channel: Channel, taken: list[Taken]) -> None:
        if channel is not self._channel:
            return
        if self.wanted is None or self.paused is not False:
            self._send_back(channel, [tag for tag, _, _ in taken])
            return
        deliveries = []
        for tag, properties, body in taken:
            message, returns = messages.decode(properties, body)
            tag_here = Tag(self, channel, tag)
            deliveries.append(Delivery(self.events_of, message, self._returns(returns), tag_here))
        self._acks.delivered([tag for tag, _, _ in taken])
        self._arrived(deliveries)

    # What is settled

    def finish(self, tags: Sequence[Tag]) -> None:
        """To be acknowledged, soon. Void tags are ignored: a late acknowledgement can lose an event."""
        channel = self._channel
        if channel is not None and channel.open:
            numbers = [tag.number for tag in tags if tag.channel is channel]
            self._acks.finish(numbers, channel.link.loop.time())
            self._send_soon()

    def give_back(self, tags: Sequence[Tag]) -> None:
        """Back to where they were."""
        held = [tag.number for tag in tags if self.holds(tag)]
        for number in held:
            self._acks.drop(number)
        if held and self._channel is not None:
            self._send_back(self._channel, held)

    def _send_back(self, channel: Channel, numbers: Sequence[int]) -> None:
        if channel.open:
            channel.link.write([frames.give_back(channel.number, number) for number in numbers])

    async def give_back_when_aligned(self, tags: Sequence[Tag]) -> None:
        """Once the broker has ended or narrowed the subscription: before, it would hand them straight back here,
        and count that too."""
        async with self._align_lock:
            self.give_back(tags)

    def _send_soon(self) -> None:
        """Sends acknowledgements: at once if there are many, or nothing else is in hand; else within 5 ms."""
        if self._holding_back:
            return
        if self._acks.unsent >= TOGETHER or self._acks.in_hand == 0:
            self.send()
        elif self._timer is None and self._channel is not None and self._acks.unsent:
            self._timer = self._channel.link.loop.call_later(GATHERING, self.send)

    def send(self) -> None:
        """Sends the acknowledgements that are due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        channel = self._channel
        if channel is None or not channel.open or self._holding_back:
            return
        loop = channel.link.loop
        self._acknowledge(channel, loop.time())
        due = self._acks.next_due()
        if due is not None:
            self._timer = loop.call_at(max(due, loop.time() + GATHERING), self.send)

    def _acknowledge(self, channel: Channel, now: float) -> None:
        prefix, alone = self._acks.take(now)
        written = [] if prefix is None else [frames.ack(channel.number, prefix, multiple=True)]
        written += [frames.ack(channel.number, tag, multiple=False) for tag in alone]
        if written:
            channel.link.write(written)

    async def close(self) -> None:
        """Sends all acknowledgements and gives the rest back."""
        channel = self._channel
        if channel is None or not channel.open:
            return
        self._acknowledge(channel, float("inf"))
        self._clear()
        try:
            await channel.close()
        except BrokerError:
            return  # gone anyway, and all that was in hand with it


def _never(*_: object) -> None:
    """pika wants a callback; the channel is one that takes, so nothing is left for it."""
