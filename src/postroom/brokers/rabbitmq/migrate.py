"""Moving a queue whose declaration does not fit into the right one, without losing an event.

RabbitMQ can neither rename a queue nor change its arguments. So the events go into a temporary queue, the queue is
made anew under its name, and they come back. Meanwhile the queue is not bound to the exchanges, and what is published
goes by their alternate, ``delays.MIGRATING``, to the temporary one. Binding and unbinding are one step each for
RabbitMQ, so that nothing is published nowhere, or twice; the order stays, but for what is on its way at that moment.

Any step may be the last: what exists tells the next run where to go on. An event that was on its way then is there
twice, with one id.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Final

from postroom.brokers.base import MissingQueue
from postroom.errors import BrokerError

from . import delays, pauses, topology
from .carry import carry
from .declaring import MAY_NOT, OtherDeclaration, Thing, exchange, queue
from .io import ChannelClosed, Link

SUFFIX: Final = ".migrating"
LITTLE: Final = 100  # events; with no more than these left the switch is made
MOST_PASSES: Final = 10  # publishers that are faster than we are do not keep us from it
# Seconds a queue is watched before it is deleted: RabbitMQ confirms what is on its way to a queue that goes away.
SETTLING: Final = 2.0
SAMPLED: Final = 7.0  # the same where events in hand are known from samples, which are 5 s old
GLANCE: Final = 0.2

_OF_TYPE = re.compile(r"of queue type rabbit_(\w+)_queue")

Told = Callable[[str], None]
Moving = Callable[[int], None]
InHand = Callable[[str], int | None]


def temporary(name: str) -> str:
    """The queue that holds the events of the queue ``name`` while that one is made anew."""
    return name + SUFFIX


async def misfit(link: Link, queue: str) -> str:
    """What ``migrate`` would mend, as far as this account may ask; empty: nothing. Raises BrokerError."""
    things = [thing for thing, _ in await _parts(link, queue)]
    for mark in (_mark(queue), *map(_other, things)):
        if await mark.exists(link):
            return f"a migration of {queue!r} has not come to its end"
    if not await things[0].exists(link):
        raise MissingQueue(f"the queue {queue!r} does not exist in RabbitMQ")
    for thing in things:
        try:
            if await thing.exists(link):
                await topology.check(link, thing)
        except OtherDeclaration as error:
            return str(error)
        except ChannelClosed as error:
            if error.code != MAY_NOT:
                raise
    return ""


async def migrate(link: Link, queue: str, in_hand: InHand | None, told: Told, moving: Moving) -> int:
    """Makes the queue and the one for its dead letters as they should be, and returns how many events were moved.

    Consumption is paused meanwhile, unless it is only the dead letters. ``in_hand`` asks the management API for a
    queue's events in hand; where there is none, a classic queue that has consumers raises BrokerError before anything
    is changed. ``told`` is called with what is done, ``moving`` with the number of events moved in one go.
    """
    await topology.declare_exchanges(link)
    moves = [_Move(link, thing, bindings, told, moving) for thing, bindings in await _parts(link, queue)]
    todo = [move for move in moves if await move.look(in_hand)]
    if not todo and not await moves[0].thing.exists(link):
        raise MissingQueue(f"the queue {queue!r} does not exist in RabbitMQ")
    if any(move.thing.name != topology.dead(queue) for move in todo):
        await _begin_pause(link, queue)
        told(f"{queue} is paused while it is moved")
    for move in todo:
        await move.run()
    await topology.declare_queue(link, queue)
    await _end_pause(link, queue)
    return sum(move.moved for move in todo)


async def _parts(link: Link, queue: str) -> list[tuple[Thing, list[topology.Binding]]]:
    parts = [topology.live_queue(queue), topology.dead_queue(queue)]
    return parts + topology.shard_queues(queue) if await topology.has_shards(link, queue) else parts


class _Move:
    """One queue on its way. ``look`` first."""

    def __init__(
        self, link: Link, thing: Thing, bindings: list[topology.Binding], told: Told, moving: Moving
    ) -> None:
        self.thing = thing
        self.moved = 0
        self._link = link
        self._name = thing.name
        self._bindings = bindings
        self._other = _other(thing)
        self._told = told
        self._moving = moving
        self._type = ""  # of the queue that is in the way
        self._in_hand: InHand | None = None

    async def look(self, in_hand: InHand | None) -> bool:
        """Whether there is anything to do. Raises BrokerError where it cannot be done."""
        if not await self._is_other():
            return await self._other.exists(self._link)
        self._type = await _type_of(self._link, self._name)
        if self._type == "stream":
            raise BrokerError(f"{self._name!r} is a stream, which cannot be emptied: rename it, or delete it")
        if self._type != "quorum":
            _, consumers = await self._count(self._name)
            if consumers and in_hand is None:
                raise BrokerError(
                    f"{self._name!r} is no quorum queue and has consumers ({consumers}): what they have in hand"
                    " RabbitMQ tells by its management API alone. Name that in the setting management, or stop them"
                )
            self._in_hand = in_hand if consumers else None
        return True

    async def run(self) -> None:
        """From whatever step the last run has reached."""
        name, other = self._name, self._other.name
        if self._type:
            await self._take_in()
            await self._pass_on(name, other)
            await self._bind(False)
            await self._empty(name, other)
            await self._delete(name)
        channel = await self._link.channel()
        await self.thing.declare(channel)
        await channel.close()
        self._told(f"{name} is made anew")
        if await self._other.exists(self._link):
            self.moved += await self._pass_on(other, name)
            await self._bind(True)
            self.moved += await self._empty(other, name)
            await self._delete(other)

    async def _is_other(self) -> bool:
        if not await self.thing.exists(self._link):
            return False
        try:
            await topology.check(self._link, self.thing)
        except OtherDeclaration:
            return True
        return False

    async def _take_in(self) -> None:
        """The temporary queue, and the way to it for what finds no other queue."""
        channel = await self._link.channel()
        await self._other.declare(channel)
        for _, key in self._bindings:
            await channel.call("queue_bind", queue=self._other.name, exchange=delays.MIGRATING, routing_key=key)
        await channel.close()

    async def _bind(self, wanted: bool) -> None:
        channel = await self._link.channel()
        method = "queue_bind" if wanted else "queue_unbind"
        for source, key in self._bindings:
            await channel.call(method, queue=self._name, exchange=source, routing_key=key)
        await channel.close()

    async def _pass_on(self, source: str, target: str) -> int:
        """Moves events until only few are left. Returns how many were moved."""
        moved = 0
        for _ in range(MOST_PASSES):
            ready, _ = await self._count(source)
            if ready <= LITTLE:
                break
            moved += await self._carry(source, target, ready)
        return moved

    async def _empty(self, source: str, target: str) -> int:
        """Moves the rest, until nothing has been there, ready or in anybody's hand, for a while."""
        clock = self._link.loop.time
        moved, since, waiting = 0, clock(), False
        while clock() - since < (SAMPLED if self._in_hand and source == self._name else SETTLING):
            ready, consumers = await self._count(source)
            if ready:
                moved += await self._carry(source, target, ready)
            elif consumers or self._is_in_hand(source):
                if not waiting:
                    waiting = True
                    self._told(f"waiting until the consumers of {source} have finished what they have in hand")
            else:
                await asyncio.sleep(GLANCE)
                continue
            await asyncio.sleep(GLANCE)
            since = clock()
        return moved

    def _is_in_hand(self, source: str) -> bool:
        if self._in_hand is None or source != self._name:
            return False  # a quorum queue counts who has events in hand among its consumers
        return self._in_hand(source) != 0

    async def _carry(self, source: str, target: str, most: int) -> int:
        return await carry(self._link, source, target, most, self._moving)

    async def _delete(self, name: str) -> None:
        channel = await self._link.channel()
        # RabbitMQ closes the connection over these flags for a quorum queue.
        careful = name == self._name and self._type == "classic"
        await channel.call("queue_delete", queue=name, if_unused=careful, if_empty=careful)
        await channel.close()

    async def _count(self, name: str) -> tuple[int, int]:
        channel = await self._link.channel()
        found = await channel.passive_count(name)
        if found is None:
            raise BrokerError(f"the queue {name!r} has gone while its events were being moved: run it again")
        await channel.close()
        return found


def _other(thing: Thing) -> Thing:
    return queue(temporary(thing.name), thing.how["arguments"])


async def _type_of(link: Link, name: str) -> str:
    """``quorum``, ``classic``, … AMQP has no question for it; but an option for streams is refused by naming it."""
    channel = await link.channel()
    await channel.call("basic_qos", prefetch_count=1)
    try:
        await channel.call(
            "basic_consume", queue=name, on_message_callback=lambda *_: None, arguments={"x-stream-offset": "last"}
        )
    except ChannelClosed as error:
        found = _OF_TYPE.search(str(error))
        if found is None:
            raise
        return found[1]
    await channel.close()
    return "stream"


# The pause. A mark of our own tells the next run that it was not an operator's, to be left as it is.


def _mark(queue: str) -> Thing:
    return exchange(f"{delays.MIGRATING}.{queue}", "fanout")


async def _begin_pause(link: Link, queue: str) -> None:
    if await pauses.is_paused(link, queue):
        return
    channel = await link.channel()
    await _mark(queue).declare(channel)
    await channel.close()
    await pauses.pause(link, queue)


async def _end_pause(link: Link, queue: str) -> None:
    if not await _mark(queue).exists(link):
        return
    await pauses.resume(link, queue)
    channel = await link.channel()
    await channel.call("exchange_delete", exchange=_mark(queue).name)
    await channel.close()
