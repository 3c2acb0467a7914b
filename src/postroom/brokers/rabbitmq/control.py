"""Requests about queues, each on a connection of its own that lives as long as the request."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from postroom.brokers.base import Figures, MissingQueue

from . import delays, pauses, topology
from .io import Link

T = TypeVar("T")


def run(connect: Callable[[], Awaitable[Link]], work: Callable[[Link], Awaitable[T]]) -> T:
    """Does ``work`` on a new connection, on a loop of its own: in this thread, or, where an event loop runs in
    it already, in another one. Raises BrokerError."""
    if asyncio._get_running_loop() is None:
        return _run_here(connect, work)
    result: list[T] = []
    failure: list[BaseException] = []

    def elsewhere() -> None:
        try:
            result.append(_run_here(connect, work))
        except BaseException as error:  # noqa: BLE001 raised again in the thread that asked
            failure.append(error)

    thread = threading.Thread(target=elsewhere, name="postroom-control", daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def _run_here(connect: Callable[[], Awaitable[Link]], work: Callable[[Link], Awaitable[T]]) -> T:
    loop = asyncio.new_event_loop()

    async def connected() -> T:
        link = await connect()
        try:
            return await work(link)
        finally:
            await link.close()

    working = loop.create_task(connected())
    try:
        return loop.run_until_complete(working)
    except KeyboardInterrupt:
        working.cancel()
        loop.run_until_complete(asyncio.wait([working]))
        raise
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def declare(link: Link, queue: str, ordered: bool) -> None:
    """All that publishers and workers of the queue need, so that their accounts need not declare."""
    await topology.declare_exchanges(link)
    await topology.declare_control(link)
    await delays.declare_ladder(link)
    await topology.declare_queue(link, queue)
    if ordered:
        await topology.declare_shards(link, queue)
    await topology.live_queue(queue)[0].exists(link)  # who may not even ask has made nothing


async def figures(link: Link, queue: str) -> Figures:
    ready, consumers = await _counts(link, queue)
    await topology.check_queue(link, topology.live_queue(queue)[0])
    in_shards = 0
    for shard in await shards(link, queue):
        in_shards += (await _counts(link, shard))[0]
    letters, _ = await _counts(link, topology.dead(queue))
    await topology.check_queue(link, topology.dead_queue(queue)[0])
    return Figures(
        ready=ready + in_shards,
        in_shards=in_shards,
        in_hand=None,
        delayed=None,
        dead=letters,
        consumers=consumers,
        oldest=None,
        paused=await pauses.is_paused(link, queue),
    )


async def shards(link: Link, queue: str) -> list[str]:
    """The shards of the queue; none where it is not ordered."""
    names = [topology.shard(queue, number) for number in range(topology.SHARDS)]
    return names if await topology.has_shards(link, queue) else []


async def _counts(link: Link, queue: str) -> tuple[int, int]:
    channel = await link.channel()
    found = await channel.passive_count(queue)
    if found is None:
        raise _missing(queue)
    await channel.close()
    return found


async def delayed(link: Link) -> int:
    channel = await link.channel()
    total = await delays.count(channel)
    await channel.close()
    return total


async def purge(link: Link, queue: str) -> int:
    channel = await link.channel()
    # Asked first, because a purge of a missing queue is an error of the whole channel with less to say.
    if await channel.passive_count(queue) is None:
        raise _missing(queue)
    purged = 0
    for name in (queue, *await shards(link, queue)):
        purged += int((await channel.call("queue_purge", queue=name)).message_count)
    await channel.close()
    return purged


def _missing(queue: str) -> MissingQueue:
    return MissingQueue(
        f"the queue {queue!r} does not exist in RabbitMQ: it is made when a worker or publisher uses it"
    )
