"""A delivery replaced: by a copy for later, by a dead letter, by an answer; confirmed before the original leaves."""

import asyncio
from collections.abc import Callable
from typing import Any

from postroom.brokers.base import Delivery
from postroom.errors import BrokerError, SettingsError
from postroom.wire import headers as h
from postroom.wire.message import Headers
from postroom.wire.reply import Reply

from . import delays, messages, topology
from .confirms import Outcome
from .connecting import pauses
from .io import log
from .outbox import Outbox


class Replacement:
    """``lament`` tells of a trouble that will be tried again, once."""

    def __init__(self, outbox: Outbox, lament: Callable[[str], None]) -> None:
        self._outbox = outbox
        self._lament = lament

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
        sending = asyncio.ensure_future(
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

    async def tell(self, address: str, reply: Reply) -> None:
        """Answers who asked how it goes. Raises BrokerError or SettingsError where that cannot be sent."""
        await self._outbox.reply(address, "", reply)

    async def close(self) -> None:
        """Disconnects."""
        await self._outbox.close()
