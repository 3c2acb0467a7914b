"""What a hold takes events from: its subscriptions, kept as they are wanted, whatever the broker does to them."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from postroom.brokers.base import Delivery, Listener
from postroom.errors import BrokerError, SettingsError

from . import patience, topology
from .io import Channel, Link, NoAnswer, log
from .pauses import POLL, is_paused
from .shards import TURN, WINDOW, Shard, Share
from .source import Source

COUNT_TIMEOUT: Final = 60.0  # a slow network is no reason to give up the connection over a count


class Taking:
    """``link`` is the hold's connection, None before the first; ``lament`` tells of a trouble that will be tried
    again, once; ``start`` runs something in the background, until the hold is closed."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listener: Listener,
        name: str,
        connect: Callable[[str], Awaitable[Link]],
        lament: Callable[[str], None],
        start: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.link: Link | None = None
        self.sources: dict[str, Source] = {}  # by their names in the broker
        self.closing = False
        self._loop = loop
        self._listener = listener
        self._name = name
        self._connect = connect
        self._lament = lament
        self._start = start
        self._shares: dict[str, Share] = {}  # of ordered queues
        self._arrived: list[Delivery] = []
        self._counting: Channel | None = None

    async def regain(self) -> None:
        """Subscribes to all again, after a new connection; who did not answer the last time is tried by itself."""
        sound = [source for source in self.sources.values() if not source.doubtful]
        await asyncio.gather(*(self._align(source, fresh=True) for source in sound))

    def fall(self) -> None:
        """The connection is gone, and all that was delivered is void."""
        for source in self.sources.values():
            source.fall()
            if isinstance(source, Shard):
                source.wanted = None
        self._arrived.clear()

    def subscribe(self, queue: str, prefetch: int, ordered: bool = False) -> None:
        """As ``Hold.subscribe``."""
        source = self.sources.get(queue)
        if source is None:
            source = self.sources[queue] = Source(queue, self._name, self._on_arrival, self._taken_back)
        if ordered and queue not in self._shares:
            self._start(self._keep_share(self._new_share(source)))
        limit = WINDOW if ordered else min(max(1, prefetch), 65_535)
        if source.wanted != limit:
            fresh = source.wanted is None
            if fresh:
                source.paused = None
            source.wanted = limit
            self._start(self._align(source, fresh))

    def _new_share(self, inlet: Source) -> Share:
        queue = inlet.queue
        ways = (self._on_arrival, self._taken_back, self._listener.recalled, self._realign)
        shards = [Shard(topology.shard(queue, number), queue, self._name, *ways) for number in range(topology.SHARDS)]
        self.sources.update((shard.queue, shard) for shard in shards)
        share = self._shares[queue] = Share(inlet, shards, self._name, self._realign)
        return share

    async def _keep_share(self, share: Share) -> None:
        while True:
            link = self.link
            if link is not None and link.alive and not link.closing:
                try:
                    await share.look(link)
                except BrokerError as error:
                    self._lament(f"the shards of a queue cannot be shared out: {error}")
            await asyncio.sleep(random.uniform(0.5 * TURN, 1.5 * TURN) if share.joined else 0.1)

    def _realign(self, source: Source) -> None:
        self._start(self._align(source, fresh=False))

    def _shards(self, queue: str) -> list[Shard]:
        return self._shares[queue].shards if queue in self._shares else []

    def unsubscribe(self, queue: str) -> None:
        """As ``Hold.unsubscribe``."""
        source = self.sources.get(queue)
        if source is not None and source.wanted is not None:
            source.wanted = None
            source.paused = False  # and if it is paused when it is wanted again, that is said again
            for each in (source, *self._shards(queue)):
                each.wanted = None
                self._realign(each)

    def align_all(self) -> None:
        """Makes all that is consumed what is wanted."""
        for source in self.sources.values():
            self._start(self._align(source, fresh=True))

    async def _align(self, source: Source, fresh: bool) -> None:
        """Makes what is consumed what is wanted; ``fresh`` asks about a pause first."""
        link = self.link
        if link is None or not link.alive:
            if source.doubtful:
                self._again(source)
            return  # _keep does it for all others when there is one
        try:
            if source.doubtful:
                await self._probe(source)
            if fresh and not isinstance(source, Shard):
                await self._ask_paused(source, link)
            await source.align(link)
        except (BrokerError, SettingsError) as error:
            source.doubtful = source.doubtful or isinstance(error, NoAnswer)
            if not source.doubtful and (not link.alive or link.closing):
                return
            # This queue alone cannot be consumed, perhaps for a while.
            self._lament(f"the queue {source.queue!r} cannot be consumed: {error}")
            source.fall()
            self._again(source)

    def _taken_back(self, source: Source, channel: Channel, why: str) -> None:
        """The broker ended the subscription to this queue, or its channel; the connection lives."""
        queue = source.events_of
        self._arrived = [delivery for delivery in self._arrived if delivery.queue != queue]
        if self.closing:
            return
        outlasted = patience.outlasted(why)
        log.warning(
            "%s: RabbitMQ took the queue %r from this consumer, which subscribes again: %s%s",
            self._name,
            queue,
            why,
            patience.ADVICE if outlasted else "",
        )
        self._listener.voided(queue, why, outlasted)
        # To the listener they are one queue, and all that it had of it is void now.
        for other in [other for other in self.sources.values() if other.events_of == queue and other is not source]:
            left = other.forsake()
            if left is not None:
                self._start(self._forsake(other, left))
        for shard in self._shards(queue):
            shard.wanted = None
        self._start(self._forsake(source, channel))

    async def _forsake(self, source: Source, channel: Channel) -> None:
        """Leaves the channel of an ended subscription, and says so if the queue itself is gone."""
        try:
            await channel.close()
            asking = await channel.link.channel()
            for _ in range(5):
                if await asking.passive_count(source.queue) is None:
                    log.warning(
                        "%s: the queue %r was deleted, with all that waited in it; it is declared again",
                        self._name,
                        source.queue,
                    )
                    break
                await asyncio.sleep(0.02)  # RabbitMQ 4 ends the subscription some milliseconds before the queue goes
            await asking.close()
        except BrokerError as error:
            self._lament(f"the queue {source.queue!r} cannot be asked for: {error}")
        self._again(source)

    def _again(self, source: Source) -> None:
        """Another attempt, soon; somebody may be deleting the queue, or mending it."""
        if source.attempt is None:
            source.attempt = self._loop.call_later(source.pause(), self._try_again, source)

    def _try_again(self, source: Source) -> None:
        source.attempt = None
        if not self.closing:
            self._start(self._align(source, fresh=True))

    async def _probe(self, source: Source) -> None:
        # RabbitMQ closes a connection, a minute later, over a queue that has no leader to subscribe at.
        probe = await self._connect(f"{self._name} probe")
        try:
            await source.probe(probe)
        finally:
            await probe.close()

    def _on_arrival(self, deliveries: list[Delivery]) -> None:
        if not self._arrived:
            self._loop.call_soon(self._hand_over)
        self._arrived += deliveries

    def _hand_over(self) -> None:
        arrived, self._arrived = self._arrived, []
        if arrived:
            self._listener.delivered(arrived)

    async def owed(self, queue: str) -> int:
        """As ``Hold.owed``."""
        link = self.link
        sources = [source for source in self.sources.values() if source.events_of == queue]
        if link is None or not link.alive or not any(source.free for source in sources):
            return 0
        if self._counting is None or self._counting.link is not link or not self._counting.open:
            self._counting = await link.channel()
            self._counting.patience = COUNT_TIMEOUT
        owed = 0
        for source in sources:
            if source.free and self._counting.open:
                found = await self._counting.passive_count(source.queue)
                owed += found[0] if found is not None and source.free else 0
        return owed

    def resubscribe(self, queue: str) -> None:
        """As ``Hold.resubscribe``: on a new channel."""
        source = self.sources[queue]
        channel = source.forsake()
        if channel is not None:
            self._taken_back(source, channel, "it delivered nothing although events waited")

    async def _ask_paused(self, source: Source, link: Link) -> None:
        async with source.asking:
            before, source.paused = source.paused, await is_paused(link, source.queue)
            for shard in self._shards(source.queue):
                shard.paused = source.paused
                self._realign(shard)
            if source.paused and not before:
                await source.align(link)
                source.told_paused = True
                self._listener.paused(source.queue)
            elif source.told_paused and not source.paused:
                source.told_paused = False
                self._listener.resumed(source.queue)

    def noticed(self, queue: str) -> None:
        """The queue may have been paused or resumed."""
        source = self.sources.get(queue)
        if source is not None:
            self._start(self._align(source, fresh=True))

    async def poll(self) -> None:
        """Asks about pauses from time to time: a notice can be lost."""
        while True:
            await asyncio.sleep(POLL)
            for source in list(self.sources.values()):
                if source.wanted is not None and not isinstance(source, Shard):
                    await self._align(source, fresh=True)
