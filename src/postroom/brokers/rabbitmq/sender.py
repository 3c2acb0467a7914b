"""The publisher's half on the I/O thread: keeps a connection, declares what is published to, sends, resolves."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final

from postroom.errors import BrokerError, SettingsError

from . import delays, topology
from .calls import CONFIRMED, FAILED, UNKNOWN, WAITING, WRITTEN, Call, Item, refuse
from .confirms import ConfirmChannel, Outcome, Outgoing
from .connecting import CannotConnect, pauses
from .io import Link, log

# How much may be on its way at once; the rest waits in the calls that brought it.
MAX_UNCONFIRMED: Final = 2000
MAX_UNCONFIRMED_BYTES: Final = 8 * 2**20
# Given up by their callers and still not confirmed: a queue without a leader never answers. At the first number
# no more is sent to such a queue; beyond the second RabbitMQ would soon stop reading the whole connection.
MANY_ORPHANS: Final = 100
TOO_MANY_ORPHANS: Final = 300
# However many publishes ask for it, connections are not attempted more often than this, in seconds.
SHORTEST_PAUSE: Final = 0.25


class Sender:
    """Lives on its loop; only ``submit`` and ``give_up`` may be called from other threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connect: Callable[[], Awaitable[Link]]) -> None:
        self._loop = loop
        self._connect = connect
        self._lock = threading.Lock()  # over _inbox, and over an item's step from WAITING to WRITTEN
        self._inbox: list[Call] = []
        self._woken = False
        self._closed = False
        self._parked: list[Item] = []  # there is no connection
        self._undeclared: dict[str, list[Item]] = {}  # what they go to is being declared
        self._ready: deque[Item] = deque()
        self._channels: dict[str, ConfirmChannel] = {}  # of queues that are declared
        self._ladder = False  # is declared
        self._link: Link | None = None
        self._unconfirmed = self._unconfirmed_bytes = 0
        self._nudge = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, call: Call) -> None:
        with self._lock:
            if self._closed:
                refuse(call.items)
                return
            self._inbox.append(call)
            if self._woken:
                return
            self._woken = True
        self._loop.call_soon_threadsafe(self._take)

    def give_up(self, call: Call) -> list[tuple[Item, int]]:
        """Nothing of the call is written from now on. Returns the state of each item at this moment."""
        with self._lock:
            call.given_up = True
            states = [(item, item.state) for item in call.items]
            if not self._closed:
                self._loop.call_soon_threadsafe(self._forget, call)
        return states

    async def run(self) -> None:
        """Keeps a connection until cancelled."""
        waits, said = pauses(), ""
        while True:
            started = time.monotonic()
            try:
                await self._equip(await self._connect())
            except (BrokerError, SettingsError) as error:
                said = self._lament(error, said)
                await self._pause(started, next(waits))
                continue
            if said:
                log.info("connected to RabbitMQ again")
            waits, said = pauses(), ""
            assert self._link is not None
            why = await asyncio.shield(self._link.lost)
            self._fall()
            log.warning("the publishing connection to RabbitMQ was lost: %s", why)
            await self._pause(started, next(waits))

    async def close(self) -> None:
        """Says goodbye. What is not confirmed by then fails."""
        with self._lock:
            self._closed = True
        for task in self._tasks:
            task.cancel()
        waiting = [*self._parked, *self._ready]
        for items in [*self._undeclared.values(), *(call.items for call in self._inbox)]:
            waiting += items
        refuse(waiting)
        if self._link is not None:
            await self._link.close(timeout=0.7)

    async def _equip(self, link: Link) -> None:
        try:
            await topology.declare_exchanges(link)
        except BaseException:
            link.abort("the connection could not be prepared")
            raise
        self._link = link
        link.on_unblocked = self._write
        parked, self._parked = self._parked, []
        self._place(parked)

    def _lament(self, error: Exception, said: str) -> str:
        """Fails who waits if it will not get better, and logs the reason when it is a new one."""
        sentence = str(error)
        permanent = not isinstance(error, BrokerError) or getattr(error, "permanent", False)
        parked, self._parked = self._parked, []
        for item in parked:
            item.call.why = sentence
            if permanent or not isinstance(error, CannotConnect):
                item.call.settle(item, FAILED, sentence)
            else:
                self._parked.append(item)
        if sentence != said:
            log.warning("%s", sentence)
        return sentence

    async def _pause(self, started: float, seconds: float) -> None:
        """Until it is time for the next attempt, or somebody wants to publish."""
        self._nudge.clear()
        await asyncio.sleep(max(0.0, started + SHORTEST_PAUSE - time.monotonic()))
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
        self._parked += self._ready
        self._ready.clear()

    def _take(self) -> None:
        with self._lock:
            calls, self._inbox = self._inbox, []
            self._woken = False
        for call in calls:
            self._place(call.items)

    def _place(self, items: list[Item]) -> None:
        """Puts items where they wait, in order, and sends what may be sent."""
        for item in items:
            call = item.call
            if self._link is None:
                self._parked.append(item)
            elif call.queue in self._undeclared:
                self._undeclared[call.queue].append(item)
            elif self._is_open(call):
                self._ready.append(item)
            else:
                self._undeclared[call.queue] = [item]
                self._start(self._declare(self._link, call.queue, call.delayed))
        self._nudge.set()
        self._write()

    def _is_open(self, call: Call) -> bool:
        channel = self._channels.get(call.queue)
        return channel is not None and channel.channel.open and (self._ladder or not call.delayed)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a declaration failed unexpectedly", exc_info=task.exception())

    async def _declare(self, link: Link, queue: str, with_ladder: bool) -> None:
        why, confirms = "", self._channels.get(queue)
        try:
            await topology.declare_queue(link, queue)
            if with_ladder and not self._ladder:
                await delays.declare_ladder(link)
            if confirms is None or not confirms.channel.open:
                confirms = await ConfirmChannel.on(link)
        except BrokerError as error:
            why = str(error)
        items = self._undeclared.pop(queue, [])
        if why and link.alive:
            for item in items:
                item.call.settle(item, FAILED, why)
            return
        if link is self._link and link.alive and confirms is not None:
            self._channels[queue] = confirms
            self._ladder = self._ladder or with_ladder
        elif self._link is not None and not self._link.alive:
            self._parked += items  # until run has noticed
            return
        self._place(items)

    def _write(self) -> None:
        link = self._link
        if link is None or not link.alive or not self._ready:
            return
        if link.blocked:
            for item in self._ready:
                item.call.why = "it is low on memory or disk and has stopped all publishers"
            return
        written: list[bytes] = []
        late: list[Item] = []
        with self._lock:
            for item in self._sendable():
                self._ready.popleft()
                confirms = self._channels.get(item.call.queue)
                if item.call.given_up:
                    continue
                if confirms is None or not confirms.channel.open:
                    late.append(item)
                elif confirms.orphans >= MANY_ORPHANS:
                    why = (
                        f"RabbitMQ has not confirmed {confirms.orphans} earlier events: the queue may have no leader"
                    )
                    item.call.settle(item, FAILED, why)
                else:
                    item.state, item.channel = WRITTEN, confirms
                    self._unconfirmed += 1
                    self._unconfirmed_bytes += len(item.body)
                    written += confirms.frames((item,))
        if written:
            link.write(written)
        if late:
            self._place(late)

    def _sendable(self) -> Iterator[Item]:
        """The first of those ready, again and again, as long as another one may be on its way."""
        while self._ready and self._unconfirmed < MAX_UNCONFIRMED and self._unconfirmed_bytes < MAX_UNCONFIRMED_BYTES:
            yield self._ready[0]

    def settled(self, outgoing: Outgoing, outcome: Outcome) -> None:
        """What the confirm channel calls."""
        assert isinstance(outgoing, Item)
        item, call = outgoing, outgoing.call
        if item.state != WRITTEN:  # _forget has written it off
            assert item.channel is not None
            item.channel.orphans -= 1
            return
        self._unconfirmed -= 1
        self._unconfirmed_bytes -= len(item.body)
        if outcome is Outcome.CONFIRMED:
            call.settle(item, CONFIRMED, "")
        elif outcome is Outcome.LOST:
            call.settle(item, UNKNOWN, "the connection was lost before RabbitMQ confirmed")
        elif outcome is Outcome.REFUSED:
            call.settle(item, FAILED, "RabbitMQ refused it: the queue is full or being deleted")
        elif item.again:
            call.settle(item, FAILED, "RabbitMQ has no such queue, although it was declared a moment ago")
        else:  # somebody deleted the queue or its binding: declare it anew, once
            item.again, item.returned, item.state = True, False, WAITING
            self._channels.pop(call.queue, None)
            self._ladder = self._ladder and not call.delayed
            self._place([item])
            return
        if self._ready:
            self._write()

    def _forget(self, call: Call) -> None:
        """The caller has gone. What is not written never will be; what is written may never be confirmed."""
        for item in call.items:
            if item.state == WRITTEN:
                item.state = UNKNOWN
                self._unconfirmed -= 1
                self._unconfirmed_bytes -= len(item.body)
                assert item.channel is not None
                item.channel.orphans += 1
        self._parked = [item for item in self._parked if not item.call.given_up]
        for queue, items in self._undeclared.items():
            self._undeclared[queue] = [item for item in items if not item.call.given_up]
        channel = self._channels.get(call.queue)
        if self._link is not None and channel is not None and channel.orphans > TOO_MANY_ORPHANS:
            self._link.abort(
                f"RabbitMQ did not confirm {channel.orphans} events of {call.queue!r}: it may have no leader"
            )
        self._write()
