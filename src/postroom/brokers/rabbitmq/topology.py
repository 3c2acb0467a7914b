"""The exchanges and queues of Postroom in a broker, and what they are called.

The arguments of a queue are constants. No setting of a program becomes one: RabbitMQ refuses a declaration
that differs from the first, so that a change would stop half the processes of a rolling deployment.

An account that may not declare finds that everything exists: see ``declaring.must_exist``.
"""

from collections.abc import Sequence
from typing import Any, Final

from postroom.brokers.base import DEAD_SUFFIX
from postroom.errors import BrokerError

from . import delays
from .declaring import MAY_NOT, QUORUM, Thing, exchange, must_exist
from .declaring import queue as declared
from .io import ChannelClosed, Link

EXCHANGE: Final = "postroom"
CONTROL: Final = "postroom.control"
LONGEST_NAME: Final = 150  # bytes; a routing key has 255, and a delayed event's begins with 50 of its own

Binding = tuple[str, str]  # the exchange, the routing key


def dead(queue: str) -> str:
    """The queue for the dead letters of ``queue``."""
    return queue + DEAD_SUFFIX


def marker(queue: str) -> str:
    """The exchange that exists while ``queue`` is paused."""
    return f"postroom.paused.{queue}"


def live_queue(queue: str) -> tuple[Thing, list[Binding]]:
    """The queue itself, and what it is bound to."""
    # Dead-lettering by the broker is only the belt: Postroom buries by a publish of its own.
    arguments: dict[str, Any] = {
        **QUORUM,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead(queue),
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    return declared(queue, arguments), [(EXCHANGE, queue), (delays.DUE, delays.due_binding(queue))]


def dead_queue(queue: str) -> tuple[Thing, list[Binding]]:
    """The queue for its dead letters, and what that is bound to."""
    return declared(dead(queue), QUORUM), [(EXCHANGE, dead(queue))]


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
    await _make(link, [letters, events], bindings)


async def check_queue(link: Link, queue: str) -> None:
    """Whether a queue that exists, and the one for its dead letters, are declared as they should be, as far as this
    account may ask. Raises BrokerError."""
    for thing in (live_queue(queue)[0], dead_queue(queue)[0]):
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
