"""Looking at events without taking them, and sweeping the dead letters."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from postroom.brokers.base import Fate
from postroom.errors import BrokerError
from postroom.wire.headers import revived
from postroom.wire.message import Message

from . import messages, topology
from .confirms import ConfirmChannel, Outcome, Outgoing
from .io import Channel, ChannelClosed, Link

WINDOW: Final = 500  # letters on their way to us, or back to their queue
MOST_PREFETCH: Final = 65_535
SILENCE: Final = 2.0  # seconds after which those that others took or purged are not waited for
STANDSTILL: Final = 15.0  # seconds without one confirm after which a sweep fails


async def peek(link: Link, queue: str, limit: int) -> list[Message]:
    """The first ready messages. A consumer takes them and its closed channel gives them back, in order."""
    channel = await link.channel()
    found = await channel.passive_count(queue)
    if found is None:
        raise BrokerError(f"the queue {queue!r} does not exist in RabbitMQ")
    wanted = min(limit, found[0], MOST_PREFETCH)
    taken: list[Message] = []
    if wanted <= 0:
        await channel.close()
        return taken
    arrived = asyncio.Event()

    def on_message(_channel: object, _method: object, properties: bytes, body: bytes) -> None:
        taken.append(messages.decode(properties, body)[0])
        arrived.set()

    await channel.call("basic_qos", prefetch_count=wanted)
    await channel.call("basic_consume", queue=queue, on_message_callback=on_message)
    while len(taken) < wanted:
        arrived.clear()
        try:
            async with asyncio.timeout(SILENCE / 2):
                await arrived.wait()
        except TimeoutError:
            break
    await channel.close()
    return taken[:wanted]


async def sweep(link: Link, queue: str, judge: Callable[[Message], Fate]) -> dict[Fate, int]:
    """As ``Broker.sweep_dead``. Letters that die meanwhile are not looked at."""
    channel = await link.channel()
    await topology.declare_exchanges(channel)
    await topology.declare_queue(channel, queue)
    found = await channel.passive_count(topology.dead(queue))
    letters, consumers = (0, 0) if found is None else found
    if consumers:
        raise _taken(queue)
    sweep = _Sweep(link, channel, await ConfirmChannel.on(link), queue, judge)
    await sweep.run(letters)
    return sweep.fates


class _Sweep:
    """One sweep: letters are held unacknowledged until their fate is sealed, or to the end if they are kept."""

    def __init__(
        self,
        link: Link,
        channel: Channel,
        confirms: ConfirmChannel,
        queue: str,
        judge: Callable[[Message], Fate],
    ) -> None:
        self.fates = dict.fromkeys(Fate, 0)
        self._link = link
        self._channel = channel
        self._confirms = confirms
        self._queue = queue
        self._judge = judge
        self._arrived: list[tuple[int, bytes, bytes]] = []
        self._unconfirmed = 0
        self._failure = ""
        self._news = asyncio.Event()
        self._limit = 0

    async def run(self, letters: int) -> None:
        left = letters
        while left > 0:
            if self._limit < MOST_PREFETCH and self.fates[Fate.KEEP] + WINDOW > self._limit:
                await self._consume()
            if not self._arrived and not await self._wait(SILENCE) and self._unconfirmed == 0:
                break
            arrived, self._arrived = self._arrived[:left], self._arrived[left:]
            for tag, properties, body in arrived:
                self._seal(tag, messages.decode(properties, body)[0])
            left -= len(arrived)
            while self._unconfirmed >= WINDOW:
                await self._progress()
        while self._unconfirmed:
            await self._progress()
        await self._channel.close()

    async def _consume(self) -> None:
        """Raises the number of letters that may be held: what is kept stays held."""
        if self._limit:
            await self._channel.call("basic_cancel", consumer_tag=f"sweep-{self._limit}")
        self._limit = min(MOST_PREFETCH, 2 * (self.fates[Fate.KEEP] + WINDOW))
        # The last resort for more than 65,535 kept letters, which is all that can be counted, is no limit.
        count = self._limit if self._limit < MOST_PREFETCH else 0
        await self._channel.call("basic_qos", prefetch_count=count)
        try:
            await self._channel.call(
                "basic_consume",
                queue=topology.dead(self._queue),
                on_message_callback=self._on_message,
                consumer_tag=f"sweep-{self._limit}",
                exclusive=True,
            )
        except ChannelClosed as error:
            if error.code != 403:
                raise
            raise _taken(self._queue) from error

    def _on_message(self, _channel: object, method: Any, properties: bytes, body: bytes) -> None:
        self._arrived.append((method.delivery_tag, properties, body))
        self._news.set()

    def _seal(self, tag: int, message: Message) -> None:
        fate = self._judge(message)
        self.fates[fate] += 1
        if fate is Fate.DROP:
            self._channel.raw.basic_ack(tag)
        elif fate is Fate.REQUEUE:
            self._requeue(tag, message)

    def _requeue(self, tag: int, message: Message) -> None:
        def settled(_: Outgoing, outcome: Outcome) -> None:
            self._unconfirmed -= 1
            self._news.set()
            if outcome is Outcome.CONFIRMED and self._channel.open:
                self._channel.raw.basic_ack(tag)
            else:
                self._failure = self._failure or f"RabbitMQ answers {outcome.value}"
                self.fates[Fate.REQUEUE] -= 1

        properties = messages.encode_shortened(message, revived(message.headers))
        self._unconfirmed += 1
        self._confirms.publish(
            [Outgoing(message.id, topology.EXCHANGE, self._queue, properties, message.body, settled)]
        )

    async def _progress(self) -> None:
        if not await self._wait(STANDSTILL):
            self._failure = f"RabbitMQ has not confirmed for {STANDSTILL:.0f} seconds"
        self._check()

    async def _wait(self, timeout: float) -> bool:
        self._news.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._news.wait()
        except TimeoutError:
            return False
        finally:
            self._check()
        return True

    def _check(self) -> None:
        if not self._channel.open:
            self._failure = self._failure or "the connection was lost"
        if self._failure:
            raise BrokerError(
                f"the sweep of the dead letters of {self._queue!r} stopped: {self._failure}."
                f" {self.fates[Fate.REQUEUE]} were requeued and {self.fates[Fate.DROP]} dropped; the others stay"
            )


def _taken(queue: str) -> BrokerError:
    return BrokerError(f"another program is looking at the dead letters of {queue!r}: try again when it is done")
