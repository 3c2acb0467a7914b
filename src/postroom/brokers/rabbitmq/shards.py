"""The shards of an ordered queue in one hold: which of them it takes from, and how it gives one up.

A queue with ``order_by`` has 16 shards, and all events of a key go to the same one. A shard is taken from by one hold
at a time. Each hold takes up shards that nobody consumes, until it has its share of them, and gives up what it has
beyond that: so shares follow when holds come and go. Should two take up one shard at the same moment, its single
active consumer keeps the order all the same, and one of them steps back.
"""

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from typing import Final

from postroom.brokers.base import Delivery

from . import topology
from .io import Channel, Link
from .receiving import Taken
from .source import Source, Tag

WINDOW: Final = 256
"""How many events of a shard are in hand at most. A key that is retried holds its followers: with so many of them,
the other keys of its shard wait too."""

TURN: Final = 1.0  # seconds between looks at the shares, more or less
LOOKED_AT: Final = 8  # shards that are asked for in one look
MOVES: Final = 3
"""A shard that is given up counts one return for all that was in hand: so many more than one mean nothing yet."""

Recalled = Callable[[str, Callable[[Delivery], bool]], None]


class Shard(Source):
    """One shard. It is given up whole, when nothing of it is being consumed, by closing its channel: then all that
    was in hand returns in its order. A cancelled or narrowed subscription, or a single event sent back, would let
    later events pass to another consumer before earlier ones."""

    def __init__(
        self,
        queue: str,
        events_of: str,
        name: str,
        arrived: Callable[[list[Delivery]], None],
        taken_back: Callable[[Source, Channel, str], None],
        recalled: Recalled,
        align: Callable[[Source], None],
    ) -> None:
        self._kept = 0  # given back by the listener, or never shown to it
        self._leaving = False
        self._news = asyncio.Event()
        super().__init__(queue, name, arrived, taken_back)
        self.events_of = events_of
        self.came = False  # something, since the last look
        self._proven = False  # something has come, so it is not another's that is consumed
        self._recalled = recalled
        self._align = align

    @property
    def idle(self) -> bool:
        """It is not taken from."""
        return self.wanted is None and self._channel is None and not self.doubtful

    @property
    def in_hand(self) -> int:
        return self._acks.in_hand

    @property
    def free(self) -> bool:
        """As of any source; but who may stand by behind another consumer is owed nothing."""
        return self._proven and super().free

    @property
    def silent(self) -> bool:
        """Nothing of it is in hand, and nothing has come since the last look."""
        return not self.came and not self.in_hand

    def finish(self, tags: Sequence[Tag]) -> None:
        super().finish(tags)
        self._news.set()

    def give_back(self, tags: Sequence[Tag]) -> None:
        """They stay here until the shard is given up: soon."""
        self._kept += sum(self.holds(tag) for tag in tags)
        self._news.set()
        if not self._leaving:
            self.give_up()

    def give_up(self) -> None:
        """It is not to be taken from any more."""
        self.wanted = None
        self._align(self)

    def forsake(self) -> Channel | None:
        channel = super().forsake()
        if channel is not None:
            _close_without_cancel(channel)
        return channel

    async def close(self) -> None:
        if self._channel is not None:
            _close_without_cancel(self._channel)
        await super().close()

    async def give_back_when_aligned(self, tags: Sequence[Tag]) -> None:
        self.give_back(tags)

    def _clear(self) -> None:
        super()._clear()
        self._kept = 0
        self.came = self._proven = False
        self._news.set()

    def _on_messages(self, channel: Channel, taken: list[Taken]) -> None:
        if channel is not self._channel:
            return
        self.came = self._proven = True
        if self._leaving or self.wanted is None or self.paused is not False:
            self._acks.delivered([tag for tag, _, _ in taken])
            self._kept += len(taken)
        else:
            super()._on_messages(channel, taken)

    def _returns(self, count: int) -> int:
        return count if count <= 1 else max(1, count - MOVES)

    async def _declare(self, link: Link) -> None:
        await topology.declare_shards(link, self.events_of)

    async def _cancel(self, consumer: str | None) -> None:
        channel = self._channel
        self._leaving = True
        try:
            self._recalled(self.events_of, lambda delivery: delivery.tag.source is self)
            while channel is self._channel and self._acks.in_hand > self._kept:
                self._news.clear()
                await self._news.wait()
            if channel is self._channel:
                await self.close()
        finally:
            self._leaving = False

    async def _change(self, limit: int) -> None:
        await self._cancel(self._consumer)


def _close_without_cancel(channel: Channel) -> None:
    """pika would cancel the channel's consumers before it closes it; and what RabbitMQ has on its way to a cancelled
    consumer returns before the rest does, and so would be had before it."""
    channel.raw._consumers.clear()


class Share:
    """The shards of one queue in one hold, which takes from the queue itself too: the inlet of what has no key."""

    def __init__(self, inlet: Source, shards: list[Shard], name: str, align: Callable[[Source], None]) -> None:
        self._inlet = inlet
        self.shards = shards
        self._name = name
        self._align = align
        self._link: Link | None = None
        self._membership: Channel | None = None
        self._asking: Channel | None = None

    @property
    def joined(self) -> bool:
        """This hold has its share."""
        return self._membership is not None and self._membership.open

    async def look(self, link: Link) -> None:
        """Takes up shards, or gives some up. Raises BrokerError."""
        if self._inlet.wanted is None or self._inlet.paused is not False:
            await self._leave(link)
            return
        if self._link is not link or not self.joined:
            await self._join(link)
        share = math.ceil(len(self.shards) / max(1, (await self._count(topology.members(self._inlet.queue)))[1]))
        mine = [shard for shard in self.shards if shard.wanted is not None]
        quiet = [shard for shard in mine if shard.silent]
        for shard in mine:
            shard.came = False
        if len(mine) > share:
            for shard in sorted(mine, key=lambda shard: shard.in_hand)[: len(mine) - share]:
                shard.give_up()
        elif len(mine) < share:
            await self._take_up(share - len(mine))
        elif quiet and await self._take_up(1):
            # Some shard had nobody, so another may have two, and the second gets nothing: perhaps it was this one.
            random.choice(quiet).give_up()

    async def _take_up(self, most: int) -> int:
        """Takes up shards that nobody consumes. RabbitMQ does not count who stands by behind another consumer."""
        free = [shard for shard in self.shards if shard.idle]
        taken = 0
        for shard in random.sample(free, min(len(free), LOOKED_AT)):
            if taken < most and (await self._count(shard.queue))[1] == 0 and self._inlet.wanted is not None:
                taken += 1
                shard.paused = self._inlet.paused
                shard.wanted = WINDOW
                self._align(shard)
        return taken

    async def _join(self, link: Link) -> None:
        await topology.declare_shards(link, self._inlet.queue)
        self._asking = await link.channel()
        self._membership = await link.channel()
        await self._membership.call(
            "basic_consume",
            queue=topology.members(self._inlet.queue),
            on_message_callback=lambda *_: None,
            consumer_tag=self._name,
        )
        self._link = link

    async def _leave(self, link: Link) -> None:
        membership, self._membership = self._membership, None
        if membership is not None and membership.link is link:
            await membership.close()

    async def _count(self, queue: str) -> tuple[int, int]:
        """Ready events and consumers; of a queue that was deleted nobody takes."""
        assert self._link is not None
        if self._asking is None or not self._asking.open:
            self._asking = await self._link.channel()
        return await self._asking.passive_count(queue) or (0, 0)
