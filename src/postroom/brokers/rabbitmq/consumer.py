"""The hold: two connections that outlast every failure, the queues taken from, and the way back for events."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

from postroom.brokers.base import Delivery, InHandLimit, Listener
from postroom.errors import BrokerError, SettingsError
from postroom.wire import headers as h
from postroom.wire.message import Headers
from postroom.wire.reply import Reply

from . import delays, messages, patience, topology
from .confirms import Outcome
from .connecting import pauses
from .io import Channel, Link, NoAnswer, log
from .outbox import Outbox
from .pauses import POLL, is_paused, listen
from .shards import TURN, WINDOW, Shard, Share
from .source import Source, Tag

COUNT_TIMEOUT: Final = 60.0  # a slow network is no reason to give up the connection over a count


class RabbitMQHold:
    """See ``brokers.base.Hold``. ``connect`` makes a connection for the role it is given."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listener: Listener,
        name: str,
        connect: Callable[[str], Awaitable[Link]],
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._name = name
        self._connect = connect
        self._link: Link | None = None
        self._outbox = Outbox(lambda: connect(f"{name} retries"))
        self._sources: dict[str, Source] = {}  # by their names in the broker
        self._shares: dict[str, Share] = {}  # of ordered queues
        self._arrived: list[Delivery] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._said: set[str] = set()  # troubles already logged since the last good connection
        self._counting: Channel | None = None
        self._closing = False

    # Connecting

    async def open(self) -> None:
        """As ``Hold.open``."""
        waits = pauses()
        while self._link is None:
            try:
                self._link = await self._prepared()
            except SettingsError:
                raise
            except BrokerError as error:
                if getattr(error, "permanent", False):
                    raise BrokerError(f"{self._name}: {error}") from error
                self._lament(str(error))
                await asyncio.sleep(next(waits))
        self._start(self._keep())
        self._start(self._poll())
        self._align_all()

    async def _prepared(self) -> Link:
        """A connection on which the exchanges exist and pauses are noticed."""
        link = await self._connect(self._name)
        try:
            await topology.declare_exchanges(link)
            await listen(link, self._noticed)
        except BaseException:
            link.abort("the connection could not be prepared")
            raise
        return link

    async def _keep(self) -> None:
        while not self._closing:
            assert self._link is not None
            why = await asyncio.shield(self._link.lost)
            self._fall(why)
            await self._reconnect()
            sound = [source for source in self._sources.values() if not source.doubtful]
            await asyncio.gather(*(self._align(source, fresh=True) for source in sound))
            if self._link.alive:
                log.info("%s: connected to RabbitMQ again", self._name)
                self._said.clear()
                self._listener.regained()

    def _fall(self, why: str) -> None:
        log.warning("%s: the connection to RabbitMQ was lost: %s", self._name, why)
        self._link_gone()
        self._listener.lost(why)

    def _link_gone(self) -> None:
        for source in self._sources.values():
            source.fall()
            if isinstance(source, Shard):
                source.wanted = None
        self._arrived.clear()

    async def _reconnect(self) -> None:
        for seconds in pauses():
            await asyncio.sleep(seconds)
            try:
                self._link = await self._prepared()
            except (BrokerError, SettingsError) as error:
                self._lament(str(error))
            else:
                return

    def _lament(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            log.warning("%s: %s; trying again until it succeeds", self._name, sentence)

    # Taking events

    def subscribe(self, queue: str, prefetch: int, ordered: bool = False) -> None:
        """As ``Hold.subscribe``."""
        source = self._sources.get(queue)
        if source is None:
            source = self._sources[queue] = Source(queue, self._name, self._on_arrival, self._taken_back)
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
        self._sources.update((shard.queue, shard) for shard in shards)
        share = self._shares[queue] = Share(inlet, shards, self._name, self._realign)
        return share

    async def _keep_share(self, share: Share) -> None:
        while True:
            link = self._link
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
        source = self._sources.get(queue)
        if source is not None and source.wanted is not None:
            source.wanted = None
            source.paused = False  # and if it is paused when it is wanted again, that is said again
            for each in (source, *self._shards(queue)):
                each.wanted = None
                self._realign(each)

    def _align_all(self) -> None:
        for source in self._sources.values():
            self._start(self._align(source, fresh=True))

    async def _align(self, source: Source, fresh: bool) -> None:
        """Makes what is consumed what is wanted; ``fresh`` asks about a pause first."""
        link = self._link
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
        if self._closing:
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
        for other in [other for other in self._sources.values() if other.events_of == queue and other is not source]:
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
        if not self._closing:
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

    @property
    def in_hand_limit(self) -> InHandLimit | None:
        """As ``Hold.in_hand_limit``."""
        return None if self._link is None else patience.limit(self._link.version)

    # Whether it is deaf

    async def owed(self, queue: str) -> int:
        """As ``Hold.owed``."""
        link = self._link
        sources = [source for source in self._sources.values() if source.events_of == queue]
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
        source = self._sources[queue]
        channel = source.forsake()
        if channel is not None:
            self._taken_back(source, channel, "it delivered nothing although events waited")

    # Pauses

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

    def _noticed(self, queue: str) -> None:
        source = self._sources.get(queue)
        if source is not None:
            self._start(self._align(source, fresh=True))

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL)
            for source in list(self._sources.values()):
                if source.wanted is not None and not isinstance(source, Shard):
                    await self._align(source, fresh=True)

    # Settling

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """As ``Hold.ack``."""
        by_source: dict[Source, list[Tag]] = {}
        for delivery in deliveries:
            by_source.setdefault(delivery.tag.source, []).append(delivery.tag)
        for source, tags in by_source.items():
            source.finish(tags)

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """As ``Hold.give_back``."""
        by_source: dict[Source, list[Tag]] = {}
        for delivery in sorted(deliveries, key=lambda delivery: delivery.tag.number):
            by_source.setdefault(delivery.tag.source, []).append(delivery.tag)
        for source, tags in by_source.items():
            if source.aligned:
                source.give_back(tags)
            else:
                self._start(source.give_back_when_aligned(tags))

    async def reschedule(self, delivery: Delivery, headers: Headers, delay: float) -> bool:
        """As ``Hold.reschedule``; a delay is rounded up to whole seconds, of which ``delays.LONGEST`` is the
        longest. Raises Unsupported for a longer one and ValueError for headers that AMQP cannot carry."""
        exchange, key = topology.EXCHANGE, delivery.queue
        if delay > 0:
            exchange, key = delays.way_in(delivery.queue, delays.whole_seconds(delay))
        return await self._replace(delivery, headers, exchange, key)

    async def bury(self, delivery: Delivery, headers: Headers) -> bool:
        """As ``Hold.bury``; long texts in ``headers`` are cut to fit."""
        return await self._replace(delivery, headers, topology.EXCHANGE, topology.dead(delivery.queue))

    async def note(self, delivery: Delivery, headers: Headers) -> bool:
        """As ``Hold.note``: RabbitMQ's messages cannot be written to."""
        return False

    async def _replace(self, delivery: Delivery, headers: Headers, exchange: str, key: str) -> bool:
        properties = messages.encode_shortened(delivery.message, headers)
        source, tag = delivery.tag.source, delivery.tag
        for seconds in pauses():
            if not source.holds(tag):
                return False
            if await self._sent(delivery, exchange, key, properties):
                break
            await asyncio.wait([source.void], timeout=seconds)
        if not source.holds(tag):
            return False
        source.finish([tag])
        return True

    async def _sent(self, delivery: Delivery, exchange: str, key: str, properties: bytes) -> bool:
        """Whether the copy was confirmed; gives up when the original becomes void."""
        message = delivery.message
        sending = self._loop.create_task(
            self._outbox.send(delivery.queue, message.id, exchange, key, properties, message.body)
        )
        waited: list[asyncio.Future[Any]] = [sending, delivery.tag.source.void]
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not sending.done():
                sending.cancel()
        if not sending.done():
            return False
        try:
            outcome = sending.result()
        except (BrokerError, SettingsError) as error:
            self._lament(f"an event of {delivery.queue!r} cannot be put back: {error}")
            return False
        if outcome is Outcome.CONFIRMED:
            return True
        self._lament(f"an event of {delivery.queue!r} cannot be put back: RabbitMQ answers {outcome.value}")
        return False

    async def reply(self, delivery: Delivery, reply: Reply) -> None:
        """As ``Hold.reply``."""
        headers = delivery.message.headers
        address, correlation = h.text(headers, h.REPLY_TO), h.text(headers, h.CORRELATION)
        try:
            await self._outbox.reply(address, correlation or delivery.message.id, reply)
        except (BrokerError, SettingsError) as error:
            log.warning("%s: the reply to %s cannot be sent: %s", delivery.queue, delivery.message.id, error)

    # The end

    async def close(self) -> None:
        """As ``Hold.close``."""
        self._closing = True
        for task in list(self._tasks):
            task.cancel()
        link = self._link
        if link is not None and link.alive:
            closing = [self._loop.create_task(source.close()) for source in self._sources.values()]
            if closing:
                await asyncio.wait(closing, timeout=2)
            await link.close()
        await self._outbox.close()
        self._link_gone()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # What it raised is a mistake of ours, which may leave this hold deaf: the loop's handler ends us.
            task.result()
