"""The second connection of a hold: retries and burials go out here, so that an alarm, which stops everything
on a connection that publishes, does not stop acknowledgements."""

import asyncio
from collections.abc import Awaitable, Callable

from . import delays, topology
from .confirms import ConfirmChannel, Outcome, Outgoing
from .io import Link


class Outbox:
    """Connects when it is first used, and again when it must."""

    def __init__(self, connect: Callable[[], Awaitable[Link]]) -> None:
        self._connect = connect
        self._lock = asyncio.Lock()
        self._link: Link | None = None
        self._channels: dict[str, ConfirmChannel] = {}  # of queues that are declared
        self._ladder = False  # is declared

    async def send(
        self, queue: str, identity: str, exchange: str, key: str, properties: bytes, body: bytes
    ) -> Outcome:
        """Publishes for ``queue`` and waits, without limit, for what becomes of it. Raises BrokerError or
        SettingsError when there is no connection."""
        confirms = await self._ready(queue, delayed=exchange != topology.EXCHANGE)
        verdict: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def settled(_: Outgoing, outcome: Outcome) -> None:
            if outcome is Outcome.RETURNED:  # somebody deleted the queue: declare it anew
                self._channels.pop(queue, None)
                self._ladder = False
            if not verdict.done():
                verdict.set_result(outcome)

        confirms.publish([Outgoing(identity, exchange, key, properties, body, settled)])
        return await verdict

    async def close(self) -> None:
        if self._link is not None:
            await self._link.close()

    async def _ready(self, queue: str, delayed: bool) -> ConfirmChannel:
        async with self._lock:
            if self._link is None or not self._link.alive:
                self._channels.clear()
                self._ladder = False
                self._link = await self._connect()
            confirms = self._channels.get(queue)
            if confirms is None or not confirms.channel.open:
                await self._declare(self._link, queue)
                confirms = self._channels[queue] = await ConfirmChannel.on(self._link)
            if delayed and not self._ladder:
                await delays.declare_ladder(self._link)
                self._ladder = True
            return confirms

    async def _declare(self, link: Link, queue: str) -> None:
        await topology.declare_exchanges(link)
        await topology.declare_queue(link, queue)
