"""Delayed events: one ladder of queues for all, in which an event waits the binary digits of its delay.

Each rung is a topic exchange and a queue whose events expire after 2ⁿ seconds. An event's routing key begins
with the digits of its delay, highest first. A rung's exchange looks at its own digit: 1 sends the event
into the rung's queue, from which it expires into the next lower exchange, and 0 sends it straight there.
Below the last rung the exchange ``postroom.due`` knows each queue by the rest of the key. As all events of
one queue wait equally long, none is held up behind one that waits longer.
"""

import math
from typing import Any, Final
from urllib.parse import quote

from postroom.errors import Unsupported

from .declaring import MAY_NOT, QUORUM, exchange, must_exist, queue
from .io import Channel, ChannelClosed, Link

RUNGS: Final = 25
LONGEST: Final = 2**RUNGS - 1  # seconds: 388 days
DUE: Final = "postroom.due"
MIGRATING: Final = "postroom.migrating"  # where an event goes whose queue is not bound: to one that is being moved


def rung(level: int) -> str:
    """The name of both the exchange and the queue whose events wait 2 to the power of ``level`` seconds."""
    return f"postroom.delay.{level:02}"


def whole_seconds(delay: float) -> int:
    """The delay as the ladder can do it: rounded up. Raises Unsupported when it is too long."""
    seconds = math.ceil(delay)
    if seconds > LONGEST:
        raise Unsupported(f"a delay of {delay:,.0f} seconds is too long: {LONGEST:,} (388 days) is the longest")
    return seconds


def way_in(queue: str, seconds: int) -> tuple[str, str]:
    """The exchange and the routing key for an event that is to reach ``queue`` after ``seconds`` (at least 1)."""
    digits = ".".join(f"{seconds:0{RUNGS}b}")
    return rung(seconds.bit_length() - 1), f"{digits}.{_word(queue)}"


def due_binding(name: str) -> str:
    """The key by which ``postroom.due`` is to know the queue ``name``."""
    return "*." * RUNGS + _word(name)


def _word(queue: str) -> str:
    # Dots stay, as the number of words must fit exactly; * and # are quoted, as they mean something to a topic.
    return quote(queue, safe="")


async def declare_ladder(link: Link) -> None:
    """All rungs, lowest first, so that none leads nowhere. Takes about a third of a second the first time.
    Raises BrokerError."""
    channel = await link.channel()
    try:
        await _declare_rungs(channel)
    except ChannelClosed as error:
        if error.code != MAY_NOT:
            raise
        await must_exist(link, [exchange(rung(RUNGS - 1), "topic")], error)
    else:
        await channel.close()


async def _declare_rungs(channel: Channel) -> None:
    below = DUE
    for level in range(RUNGS):
        name = rung(level)
        arguments: dict[str, Any] = {
            **QUORUM,
            "x-message-ttl": 2**level * 1000,
            "x-dead-letter-exchange": below,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        skipped = "*." * (RUNGS - 1 - level)
        await exchange(name, "topic").declare(channel)
        await queue(name, arguments).declare(channel)
        await channel.call("queue_bind", queue=name, exchange=name, routing_key=f"{skipped}1.#")
        await channel.call("exchange_bind", destination=below, source=name, routing_key=f"{skipped}0.#")
        below = name


async def count(channel: Channel) -> int:
    """How many events wait on the ladder; 0 where it does not exist."""
    total = 0
    for level in range(RUNGS):
        found = await channel.passive_count(rung(level))
        if found is None:  # declared lowest first, so there are no higher ones either
            break
        total += found[0]
    return total
