"""Carrying events from one queue to another: each is confirmed there before it leaves here."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from postroom.errors import BrokerError

from . import messages
from .confirms import ConfirmChannel, Outcome, Outgoing
from .io import Channel, Link

WINDOW: Final = 500  # events on their way
SILENCE: Final = 2.0  # seconds after which those that others took are not waited for
STANDSTILL: Final = 15.0  # seconds without one confirm after which it is given up


async def carry(link: Link, source: str, target: str, most: int, progress: Callable[[int], None]) -> int:
    """Moves up to ``most`` ready events, oldest first, as they are: properties and bodies byte for byte, but for what
    ``messages.carried`` leaves out. Returns how many. Raises BrokerError; the rest is still in ``source`` then."""
    carrier = _Carrier(link, source, target, await link.channel(), await ConfirmChannel.on(link))
    await carrier.run(most, progress)
    return carrier.moved


class _Carrier:
    def __init__(self, link: Link, source: str, target: str, channel: Channel, confirms: ConfirmChannel) -> None:
        self.moved = 0
        self._link = link
        self._source = source
        self._target = target
        self._channel = channel
        self._confirms = confirms
        self._arrived: list[tuple[int, bytes, bytes]] = []
        self._on_the_way = 0
        self._failure = ""
        self._news = asyncio.Event()

    async def run(self, most: int, progress: Callable[[int], None]) -> None:
        await self._channel.call("basic_qos", prefetch_count=min(most, WINDOW))
        await self._channel.call("basic_consume", queue=self._source, on_message_callback=self._on_message)
        sent = 0
        while sent < most:
            if not self._arrived and not await self._come(SILENCE):
                break
            arrived, self._arrived = self._arrived[: most - sent], []
            sent += len(arrived)
            self._send(arrived)
            progress(self.moved)
        while self._on_the_way:
            await self._come(STANDSTILL)
        progress(self.moved)
        # What came beyond that goes back.
        await self._channel.close()
        await self._confirms.close()

    def _on_message(self, _channel: object, method: Any, properties: bytes, body: bytes) -> None:
        self._arrived.append((method.delivery_tag, properties, body))
        self._news.set()

    def _send(self, arrived: list[tuple[int, bytes, bytes]]) -> None:
        batch = []
        for tag, properties, body in arrived:
            carried = messages.carried(properties)
            batch.append(Outgoing(messages.identity(carried), "", self._target, carried, body, self._settled(tag)))
        self._on_the_way += len(batch)
        if batch:
            self._confirms.publish(batch)

    def _settled(self, tag: int) -> Callable[[Outgoing, Outcome], None]:
        def settled(_: Outgoing, outcome: Outcome) -> None:
            self._on_the_way -= 1
            self._news.set()
            if outcome is Outcome.CONFIRMED and self._channel.open:
                self._channel.raw.basic_ack(tag)
                self.moved += 1
            else:
                self._failure = self._failure or f"RabbitMQ answers {outcome.value}"

        return settled

    async def _come(self, timeout: float) -> bool:
        """Whether there is news within ``timeout`` seconds; longer while confirms are awaited."""
        self._news.clear()
        try:
            async with asyncio.timeout(STANDSTILL if self._on_the_way else timeout):
                await self._news.wait()
        except TimeoutError:
            if self._on_the_way:
                self._failure = f"RabbitMQ has not confirmed for {STANDSTILL:.0f} seconds"
            return False
        finally:
            self._check()
        return True

    def _check(self) -> None:
        if not self._channel.open:
            self._failure = self._failure or "the connection was lost"
        if self._failure:
            raise BrokerError(
                f"the events of {self._source!r} could not all be moved: {self._failure}. None is lost: do it again"
            )
