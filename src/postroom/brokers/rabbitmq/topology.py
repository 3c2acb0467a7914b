"""The exchanges and queues of Postroom in a broker, and what they are called.

The arguments of a queue are constants. No setting of a program becomes one: RabbitMQ refuses a declaration
that differs from the first, so that a change would stop half the processes of a rolling deployment.

An account that may not declare finds that everything exists: see ``declaring.must_exist``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from zlib import crc32

from postroom.brokers.base import DEAD_SUFFIX
from postroom.errors import BrokerError
from postroom.wire import headers as h
from postroom.wire.message import Header

from . import delays
from .declaring import MAY_NOT, QUORUM, Thing, exchange, must_exist
from .declaring import queue as declared
from .io import ChannelClosed, Link

EXCHANGE: Final = "postroom"
CONTROL: Final = "postroom.control"
LONGEST_NAME: Final = 150  # bytes; a routing key has 255, and a delayed event's begins with 50 of its own

SHARDS: Final = 16
"""Of each ordered queue. The number is in their names: with another one they would be others."""

Binding = tuple[str, str]  # the exchange, the routing key


def dead(queue: str) -> str:
    """The queue for the dead letters of ``queue``."""
    return queue + DEAD_SUFFIX


def shard(queue: str, number: int) -> str:
    """One of the queues among which the keys of an ordered queue are spread."""
    return f"{queue}.{SHARDS}.{number}"


def members(queue: str) -> str:
    """The queue, always empty, whose consumers are those that share the shards of ``queue``."""
    return f"{queue}.{SHARDS}.members"


def place(queue: str, headers: Mapping[str, Header]) -> str:
    """Where an event of ``queue`` waits: in the shard of its key, or in the queue itself if it has none."""
    key = h.key(headers)
    return queue if key is None else shard(queue, crc32(key.encode("utf-8", "surrogatepass")) % SHARDS)


def marker(queue: str) -> str:
    """The exchange that exists while ``queue`` is paused."""
    return f"postroom.paused.{queue}"


def live_queue(queue: str) -> tuple[Thing, list[Binding]]:
    """The queue itself, and what it is bound to."""
    return declared(queue, _live_arguments(queue), queue), [
        (EXCHANGE, queue),
        (delays.DUE, delays.due_binding(queue)),
    ]


def dead_queue(queue: str) -> tuple[Thing, list[Binding]]:
    """The queue for its dead letters, and what that is bound to."""
    return declared(dead(queue), QUORUM, queue), [(EXCHANGE, dead(queue))]


def shard_queues(queue: str) -> list[tuple[Thing, list[Binding]]]:
    """The shards of an ordered queue, and what each is bound to."""
    arguments = {**_live_arguments(queue), "x-single-active-consumer": True}
    names = [shard(queue, number) for number in range(SHARDS)]
    return [(declared(name, arguments, queue), [(EXCHANGE, name)]) for name in names]


def _live_arguments(queue: str) -> dict[str, Any]:
    # Dead-lettering by the broker is only the belt: Postroom buries by a publish of its own.
    return {
        **QUORUM,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead(queue),
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


async def declare_exchanges(link: Link) -> None:
    """What all queues share, but for the ladder of delays. Raises BrokerError."""
    alternate = {"alternate-exchange": delays.MIGRATING}
    await _make(
        link,
        [
            exchange(delays.MIGRATING, "topic"),
            exchange(EXCHANGE, "direct", alternate),
            exchange(delays.DUE, "topic", alternate),
        ],
        [],
    )


async def declare_control(link: Link) -> None:
    """The exchange that carries notices to consumers. Raises BrokerError."""
    await _make(link, [exchange(CONTROL, "fanout")], [])


async def declare_queue(link: Link, queue: str) -> None:
    """A queue, its dead letters and their bindings; the exchanges exist. Raises BrokerError."""
    if not queue or len(queue.encode()) > LONGEST_NAME or queue.startswith("amq."):
        raise BrokerError(
            f"{queue!r} cannot be a queue's name on RabbitMQ: 1 to {LONGEST_NAME} bytes, not starting with amq."
        )
    letters, letters_bindings = dead_queue(queue)
    events, events_bindings = live_queue(queue)
    bindings = [(letters.name, *each) for each in letters_bindings] + [(queue, *each) for each in events_bindings]
    # In this order: the quorum queue that RabbitMQ 3.10 made last loses what it has confirmed if its node is killed
    # before another one is made, or about a second is over. That one is to be the empty one.
    await _make(link, [events, letters], bindings)


async def declare_shards(link: Link, queue: str) -> None:
    """What an ordered queue has beside itself: see ``shards``. Raises BrokerError."""
    shards = shard_queues(queue)
    bindings = [(thing.name, *each) for thing, its in shards for each in its]
    await _make(link, [*(thing for thing, _ in shards), declared(members(queue), QUORUM)], bindings)


async def has_shards(link: Link, queue: str) -> bool:
    """Whether the queue is an ordered one. Raises BrokerError."""
    return await declared(members(queue), QUORUM).exists(link)


async def check_queue(link: Link, thing: Thing) -> None:
    """Whether a queue that exists is declared as it should be, as far as this account may ask. Raises BrokerError."""
    try:
        await check(link, thing)
    except ChannelClosed as error:
        if error.code != MAY_NOT:
            raise


async def check(link: Link, thing: Thing) -> None:
    """Whether something that exists is declared as it should be. Raises BrokerError."""
    channel = await link.channel()
    await thing.declare(channel)
    await channel.close()


async def _make(link: Link, things: Sequence[Thing], bindings: Sequence[tuple[str, str, str]]) -> None:
    channel = await link.channel()
    try:
        for thing in things:
            await thing.declare(channel)
        for queue, source, key in bindings:
            await channel.call("queue_bind", queue=queue, exchange=source, routing_key=key)
    except ChannelClosed as error:
        if error.code != MAY_NOT:
            raise
        await must_exist(link, things, error)
    else:
        await channel.close()
