"""Looking at events without taking them, and sweeping the dead letters."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from postroom.brokers.base import Fate
from postroom.errors import BrokerError
from postroom.wire import headers as h
from postroom.wire.headers import revived
from postroom.wire.message import Message

from . import messages, topology
from .confirms import ConfirmChannel, Outcome, Outgoing
from .io import Channel, ChannelClosed, Link

WINDOW: Final = 500  # letters on their way back to their queue
HANDFUL: Final = 2_000  # letters that one consumer of a sweep may hold
MOST_PREFETCH: Final = 65_535
SILENCE: Final = 2.0  # seconds after which it is asked whether there are any more
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
    marked: dict[int, Message] = {}

    def on_message(_channel: object, method: Any, properties: bytes, body: bytes) -> None:
        message = messages.decode(properties, body)[0]
        taken.append(message)
        if h.marked(message.headers):
            marked[method.delivery_tag] = message
        arrived.set()

    await channel.call("basic_qos", prefetch_count=wanted)
    await channel.call("basic_consume", queue=queue, on_message_callback=on_message, consumer_tag="peek")
    while len(taken) < wanted:
        arrived.clear()
        try:
            async with asyncio.timeout(SILENCE / 2):
                await arrived.wait()
        except TimeoutError:
            break
    if marked:
        await channel.call("basic_cancel", consumer_tag="peek")  # or the copies would come here
        await _replace(link, channel, queue, marked)
    await channel.close()
    return taken[:wanted]


async def _replace(link: Link, channel: Channel, queue: str, marked: dict[int, Message]) -> None:
    """Gives marked events back as fresh copies: that they return would be counted against them. Who may not publish,
    or gets no confirm, gives them back as they are."""
    confirms = await ConfirmChannel.on(link)
    left = len(marked)
    all_settled = asyncio.Event()

    def replaced(tag: int) -> Callable[[Outgoing, Outcome], None]:
        def settled(_: Outgoing, outcome: Outcome) -> None:
            nonlocal left
            left -= 1
            if outcome is Outcome.CONFIRMED and channel.open:
                channel.raw.basic_ack(tag)
            if left == 0:
                all_settled.set()

        return settled

    for tag, message in marked.items():
        properties = messages.encode_shortened(message, message.headers)
        confirms.publish([Outgoing(message.id, topology.EXCHANGE, queue, properties, message.body, replaced(tag))])
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STANDSTILL):
            await all_settled.wait()


async def sweep(link: Link, queue: str, judge: Callable[[Message], Fate]) -> dict[Fate, int]:
    """As ``Broker.sweep_dead``. Letters that die meanwhile are not looked at."""
    await topology.declare_exchanges(link)
    await topology.declare_queue(link, queue)
    channel = await link.channel()
    found = await channel.passive_count(topology.dead(queue))
    letters, consumers = (0, 0) if found is None else found
    if consumers:
        raise _taken(queue)
    sweep = _Sweep(link, channel, await ConfirmChannel.on(link), queue, judge)
    await sweep.run(letters)
    return sweep.fates


class _Sweep:
    """One sweep: letters are held unacknowledged until their fate is sealed, or to the end if they are kept.

    They are held by one consumer after the other, each on a channel of its own: one consumer may not hold them all
    (RabbitMQ counts no further than 65,535, and takes "no limit" for 2,000), and on one channel each acknowledgement
    would be looked for among all that are held.
    """

    def __init__(
        self,
        link: Link,
        asking: Channel,
        confirms: ConfirmChannel,
        queue: str,
        judge: Callable[[Message], Fate],
    ) -> None:
        self.fates = dict.fromkeys(Fate, 0)
        self._link = link
        self._asking = asking
        self._confirms = confirms
        self._queue = queue
        self._judge = judge
        self._channels: list[Channel] = []
        self._kept = 0  # by the latest consumer
        self._arrived: list[tuple[int, bytes, bytes]] = []
        self._unconfirmed = 0
        self._failure = ""
        self._news = asyncio.Event()

    async def run(self, letters: int) -> None:
        left = letters
        while left > 0:
            if not self._channels or self._kept == HANDFUL:
                await self._consume()
            if not self._arrived and not await self._wait(SILENCE) and await self._nothing_left():
                break
            arrived, self._arrived = self._arrived[:left], self._arrived[left:]
            for tag, properties, body in arrived:
                self._seal(tag, messages.decode(properties, body)[0])
            left -= len(arrived)
            while self._unconfirmed >= WINDOW:
                await self._progress()
        while self._unconfirmed:
            await self._progress()
        for channel in self._channels:  # the earliest first: so they come back in their order
            await channel.close()
        await self._asking.close()

    async def _nothing_left(self) -> bool:
        """Others took or purged some, which are not waited for. Raises BrokerError where RabbitMQ has letters and
        does not hand them out."""
        for _ in range(round(STANDSTILL / SILENCE)):
            found = await self._asking.passive_count(topology.dead(self._queue))
            if self._arrived or self._unconfirmed:
                return False
            if found is None or found[0] == 0:
                return True
            if await self._wait(SILENCE):
                return False
        self._failure = f"RabbitMQ has more letters and has not handed one out for {STANDSTILL:.0f} seconds"
        self._check()
        return True

    async def _consume(self) -> None:
        """The next consumer. Nothing is on its way to the one before: all that it may hold it holds."""
        if self._channels:
            await self._channels[-1].call("basic_cancel", consumer_tag="sweep")
        channel = await self._link.channel()
        self._channels.append(channel)
        self._kept = 0
        await channel.call("basic_qos", prefetch_count=HANDFUL)
        try:
            await channel.call(
                "basic_consume",
                queue=topology.dead(self._queue),
                on_message_callback=self._on_message,
                consumer_tag="sweep",
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
        if fate is Fate.KEEP:
            self._kept += 1
        elif fate is Fate.DROP:
            self._channels[-1].raw.basic_ack(tag)
        else:
            self._requeue(self._channels[-1], tag, message)

    def _requeue(self, channel: Channel, tag: int, message: Message) -> None:
        def settled(_: Outgoing, outcome: Outcome) -> None:
            self._unconfirmed -= 1
            self._news.set()
            if outcome is Outcome.CONFIRMED and channel.open:
                channel.raw.basic_ack(tag)
            else:
                self._failure = self._failure or f"RabbitMQ answers {outcome.value}"
                self.fates[Fate.REQUEUE] -= 1

        properties = messages.encode_shortened(message, revived(message.headers))
        place = topology.place(self._queue, message.headers)
        self._unconfirmed += 1
        self._confirms.publish([Outgoing(message.id, topology.EXCHANGE, place, properties, message.body, settled)])

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
        if not all(channel.open for channel in self._channels):
            self._failure = self._failure or "the connection was lost"
        if self._failure:
            raise BrokerError(
                f"the sweep of the dead letters of {self._queue!r} stopped: {self._failure}."
                f" {self.fates[Fate.REQUEUE]} were requeued and {self.fates[Fate.DROP]} dropped; the others stay"
            )


def _taken(queue: str) -> BrokerError:
    return BrokerError(f"another program is looking at the dead letters of {queue!r}: try again when it is done")
