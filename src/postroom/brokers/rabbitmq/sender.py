"""The publisher's half on the I/O thread: keeps a connection, declares what is published to, resolves."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from postroom.errors import BrokerError, SettingsError

from . import delays, topology
from .calls import CONFIRMED, FAILED, UNKNOWN, WAITING, WRITTEN, Call, Item, Part
from .confirms import ConfirmChannel, Outcome, Outgoing
from .connecting import CannotConnect, pauses
from .io import Link, log
from .writer import CLOSED, MANY_ORPHANS, Writer

# Messages given up by their callers and not confirmed, of one queue: RabbitMQ would soon stop reading all.
TOO_MANY_ORPHANS: Final = 300
# However many publishes ask for it, connections are not attempted more often than this, in seconds; and while some
# ask, not less often than that. Between the two chance decides, or all processes of a fleet would come at once.
SHORTEST_PAUSE: Final = 0.25
LONGEST_WANTED: Final = 2.0
ELECTION: Final = 0.5  # seconds in which a queue has got another leader
# A channel costs the broker memory, and a connection has 2,047: queues beyond so many take turns.
MOST_CHANNELS: Final = 1000
FOR_DECLARING: Final = 47  # channels that are left to declarations


class Sender:
    """Lives on its loop; ``submit`` and ``give_up`` may be called from other threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connect: Callable[[], Awaitable[Link]]) -> None:
        self._loop = loop
        self._connect = connect
        self._writer = Writer(loop, self._see_to)
        self._parked: list[Part] = []  # there is no connection
        self._undeclared: dict[str, list[Part]] = {}  # what they go to is being prepared
        self._link: Link | None = None
        self._channels: dict[str, ConfirmChannel] = {}  # by queue, on the link
        self._declared: set[str] = set()  # queues, since the link is there
        self._ladder = False  # is declared
        self._nudge = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.submit = self._writer.submit

    def give_up(self, call: Call) -> list[tuple[Item, int]]:
        """As ``Writer.give_up``."""
        states = self._writer.give_up(call)
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nothing is left to be forgotten
            self._loop.call_soon_threadsafe(self._forget, call)
        return states

    # The connection

    async def run(self) -> None:
        """Keeps a connection until cancelled."""
        waits, wanted, said = pauses(), pauses(LONGEST_WANTED), ""
        while True:
            started = time.monotonic()
            try:
                await self._equip(await self._connect())
            except (BrokerError, SettingsError) as error:
                said = self._lament(error, said)
                await self._pause(started, next(waits), next(wanted))
                continue
            if said:
                log.info("connected to RabbitMQ again")
            waits, wanted, said = pauses(), pauses(LONGEST_WANTED), ""
            assert self._link is not None
            why = await asyncio.shield(self._link.lost)
            self._fall()
            log.warning("the publishing connection to RabbitMQ was lost: %s", why)
            await self._pause(started, next(waits), next(wanted))

    async def close(self) -> None:
        """Says goodbye. What is not confirmed by then fails."""
        for task in self._tasks:
            task.cancel()
        self._writer.close()
        for part in [*self._parked, *(part for parts in self._undeclared.values() for part in parts)]:
            part.fail(CLOSED)
        if self._link is not None:
            await self._link.close(timeout=0.7)

    async def _equip(self, link: Link) -> None:
        try:
            await topology.declare_exchanges(link)
        except BaseException:
            link.abort("the connection could not be prepared")
            raise
        self._link = link
        self._writer.connected(link)
        parked, self._parked = self._parked, []
        self._place(parked)

    def _lament(self, error: Exception, said: str) -> str:
        """Fails who waits if it will not get better, and logs the reason when it is a new one."""
        sentence = str(error)
        permanent = not isinstance(error, BrokerError) or getattr(error, "permanent", False)
        parked, self._parked = self._parked, []
        for part in parked:
            part.call.why = sentence
            if permanent or not isinstance(error, CannotConnect):
                part.fail(sentence)
            else:
                self._parked.append(part)
        if sentence != said:
            log.warning("%s", sentence)
        return sentence

    async def _pause(self, started: float, seconds: float, wanted: float) -> None:
        """Until it is time for the next attempt: ``seconds``, or ``wanted`` where somebody wants to publish."""
        self._nudge.clear()
        await asyncio.sleep(max(wanted, started + SHORTEST_PAUSE - time.monotonic()))
        if self._parked:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._nudge.wait()
        except TimeoutError:
            return

    def _fall(self) -> None:
        """The connection is gone. Its channels have settled what was written; the rest waits for the next one."""
        self._link, self._ladder = None, False
        self._channels.clear()
        self._declared.clear()
        self._parked = self._writer.disconnected() + self._parked

    # Declaring

    def _see_to(self) -> None:
        """What publishing threads could not write by themselves."""
        self._place(self._writer.take_aside())

    def _place(self, parts: list[Part]) -> None:
        """Puts parts where they wait, in order, until what they go to is prepared."""
        for part in parts:
            queue = part.call.queue
            channel = self._channels.get(queue)
            if part.call.given_up:
                continue
            if self._link is None or not self._link.alive:
                self._parked.append(part)
            elif queue in self._undeclared:
                self._undeclared[queue].append(part)
            elif channel is not None and channel.orphans >= MANY_ORPHANS:
                part.fail(
                    f"RabbitMQ has not confirmed {channel.orphans} earlier events: the queue may have no leader"
                )
            else:
                self._undeclared[queue] = [part]
                self._start(self._prepare(self._link, part.call))
        self._nudge.set()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a declaration failed unexpectedly", exc_info=task.exception())

    async def _prepare(self, link: Link, call: Call) -> None:
        """Declares what is not declared and opens a channel, and then lets go what waits for that."""
        why, queue = "", call.queue
        try:
            if queue not in self._declared or (call.delayed and not self._ladder):
                await self._declare(link, call)
            channel = self._channels.get(queue)
            if channel is None or not channel.open:
                self._make_room(link)
                channel = self._channels[queue] = await ConfirmChannel.on(link, self._writer.lock)
        except BrokerError as error:
            why = str(error)
        parts = self._undeclared.pop(queue)
        if link is not self._link or not link.alive:
            self._place(parts)
        elif why:
            for part in parts:
                part.fail(why)
        else:
            assert channel is not None
            missing_ladder = [part for part in parts if part.call.delayed and not self._ladder]
            self._writer.open(queue, channel, self._ladder, [part for part in parts if part not in missing_ladder])
            self._place(missing_ladder)

    async def _declare(self, link: Link, call: Call) -> None:
        await topology.declare_queue(link, call.queue)
        if call.ordered:
            await topology.declare_shards(link, call.queue)
        if call.delayed and not self._ladder:
            await delays.declare_ladder(link)
        if link is self._link:
            self._declared.add(call.queue)
            self._ladder = self._ladder or call.delayed

    def _make_room(self, link: Link) -> None:
        """Closes the channel that has not been used for longest, where there are many."""
        if len(self._channels) < min(MOST_CHANNELS, link.max_channels - FOR_DECLARING):
            return
        idle = [(channel.used, queue) for queue, channel in self._channels.items() if channel.idle]
        if idle:
            queue = min(idle)[1]
            if self._writer.shut_idle(self._channels[queue], queue):
                self._start(self._close(self._channels.pop(queue)))

    async def _close(self, channel: ConfirmChannel) -> None:
        try:
            await channel.close()
        except BrokerError:
            return  # gone with its connection

    # Resolving

    def settled(self, outgoing: Outgoing, outcome: Outcome) -> None:
        """What the confirm channel calls."""
        assert isinstance(outgoing, Item)
        item, call = outgoing, outgoing.call
        if item.state != WRITTEN:  # _forget has written it off
            assert item.channel is not None
            item.channel.orphans -= 1
            return
        self._writer.settled(len(item.body))
        if outcome is Outcome.CONFIRMED:
            call.settle(item, CONFIRMED, "")
        elif outcome is Outcome.LOST:
            assert item.channel is not None
            call.settle(item, UNKNOWN, f"{item.channel.end} before RabbitMQ confirmed")
        elif outcome is Outcome.REFUSED:
            self._refused(item)
        elif item.again:
            call.settle(
                item,
                FAILED,
                "RabbitMQ has no such queue: it was deleted, or this account may not make it (postroom declare)",
            )
        else:  # somebody deleted the queue or its binding: declare it anew, once
            item.again, item.returned, item.state = True, False, WAITING
            self._declared.discard(call.queue)
            self._ladder = self._ladder and not call.delayed
            self._writer.shut(call.queue)
            self._place([Part(call, [item])])

    def _refused(self, item: Item) -> None:
        """Again, once, on another channel. One that was opened while a node of the cluster died may believe for as
        long as that is down that the queue's leader is there, and then RabbitMQ refuses all that comes by it."""
        queue, channel = item.call.queue, item.channel
        assert channel is not None
        if self._channels.get(queue) is channel:
            del self._channels[queue]
            self._writer.shut(queue)
        if channel.idle and channel.open:
            self._start(self._close(channel))
        if item.again:
            item.call.settle(item, FAILED, "RabbitMQ refused it: the queue is full or being deleted")
        else:
            item.again, item.state = True, WAITING
            self._loop.call_later(ELECTION, self._place, [Part(item.call, [item])])

    def _forget(self, call: Call) -> None:
        """The caller has gone. What is not written never will be; what is written may never be confirmed."""
        for item in call.items:
            if item.state == WRITTEN:
                item.state = UNKNOWN
                self._writer.settled(len(item.body))
                assert item.channel is not None
                item.channel.orphans += 1
        self._parked = [part for part in self._parked if not part.call.given_up]
        for queue, parts in self._undeclared.items():
            self._undeclared[queue] = [part for part in parts if not part.call.given_up]
        channel = self._channels.get(call.queue)
        if self._link is not None and channel is not None and channel.orphans > TOO_MANY_ORPHANS:
            self._link.abort(
                f"RabbitMQ did not confirm {channel.orphans} events of {call.queue!r}: it may have no leader"
            )
        self._writer.write()
