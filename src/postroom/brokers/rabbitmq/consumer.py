"""The hold: two connections that outlast every failure, the queues taken from, and the way back for events."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from postroom.brokers.base import Delivery, InHandLimit, Listener
from postroom.errors import BrokerError, SettingsError
from postroom.wire.message import Headers
from postroom.wire.reply import Reply

from . import patience, topology
from .asking import answer
from .background import Background
from .connecting import pauses
from .io import Link, log
from .outbox import Outbox
from .pauses import listen
from .replacement import Replacement
from .source import Source, Tag
from .taking import Taking


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
        self._replacement = Replacement(Outbox(lambda: connect(f"{name} retries")), self._lament)
        # A mistake in it may leave this hold deaf: the consumer's handler ends the process then.
        self._background = Background(loop)
        self._taking = Taking(loop, listener, name, connect, self._lament, self._background.start)
        self._said: set[str] = set()  # troubles already logged since the last good connection

    async def open(self) -> None:
        """As ``Hold.open``."""
        waits = pauses()
        while self._taking.link is None:
            try:
                self._taking.link = await self._prepared()
            except SettingsError:
                raise
            except BrokerError as error:
                if getattr(error, "permanent", False):
                    raise BrokerError(f"{self._name}: {error}") from error
                self._lament(str(error))
                await asyncio.sleep(next(waits))
        self._background.start(self._keep())
        self._background.start(self._taking.poll())
        self._taking.align_all()

    async def _prepared(self) -> Link:
        """A connection on which the exchanges exist and pauses are noticed."""
        link = await self._connect(self._name)
        try:
            await topology.declare_exchanges(link)
            await listen(link, self._taking.noticed, self._asked)
        except BaseException:
            link.abort("the connection could not be prepared")
            raise
        return link

    def _asked(self, body: bytes, address: str) -> None:
        self._background.start(answer(self._listener, self._replacement, body, address))

    async def _keep(self) -> None:
        while not self._taking.closing:
            assert self._taking.link is not None
            why = await asyncio.shield(self._taking.link.lost)
            self._fall(why)
            await self._reconnect()
            await self._taking.regain()
            if self._taking.link.alive:
                log.info("%s: connected to RabbitMQ again", self._name)
                self._said.clear()
                self._listener.regained()

    def _fall(self, why: str) -> None:
        log.warning("%s: the connection to RabbitMQ was lost: %s", self._name, why)
        self._taking.fall()
        self._listener.lost(why)

    async def _reconnect(self) -> None:
        for seconds in pauses():
            await asyncio.sleep(seconds)
            try:
                self._taking.link = await self._prepared()
            except (BrokerError, SettingsError) as error:
                self._lament(str(error))
            else:
                return

    def _lament(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            log.warning("%s: %s; trying again until it succeeds", self._name, sentence)

    @property
    def in_hand_limit(self) -> InHandLimit | None:
        """As ``Hold.in_hand_limit``."""
        link = self._taking.link
        return None if link is None else patience.limit(link.version)

    def subscribe(self, queue: str, prefetch: int, ordered: bool = False) -> None:
        """As ``Hold.subscribe``."""
        self._taking.subscribe(queue, prefetch, ordered)

    def unsubscribe(self, queue: str) -> None:
        """As ``Hold.unsubscribe``."""
        self._taking.unsubscribe(queue)

    async def owed(self, queue: str) -> int:
        """As ``Hold.owed``."""
        return await self._taking.owed(queue)

    def resubscribe(self, queue: str) -> None:
        """As ``Hold.resubscribe``: on a new channel."""
        self._taking.resubscribe(queue)

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
                self._background.start(source.give_back_when_aligned(tags))

    async def reschedule(self, delivery: Delivery, headers: Headers, delay: float) -> bool:
        """As ``Hold.reschedule``; see ``Replacement.reschedule``."""
        return await self._replacement.reschedule(delivery, headers, delay)

    async def bury(self, delivery: Delivery, headers: Headers) -> bool:
        """As ``Hold.bury``; long texts in ``headers`` are cut to fit."""
        return await self._replacement.bury(delivery, headers)

    async def note(self, delivery: Delivery, headers: Headers) -> bool:
        """As ``Hold.note``: RabbitMQ's messages cannot be written to."""
        return False

    async def reply(self, delivery: Delivery, reply: Reply) -> None:
        """As ``Hold.reply``."""
        await self._replacement.reply(delivery, reply)

    async def close(self) -> None:
        """As ``Hold.close``."""
        self._taking.closing = True
        self._background.cancel()
        link = self._taking.link
        if link is not None and link.alive:
            closing = [self._loop.create_task(source.close()) for source in self._taking.sources.values()]
            if closing:
                await asyncio.wait(closing, timeout=2)
            await link.close()
        await self._replacement.close()
        self._taking.fall()
