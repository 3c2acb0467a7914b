"""Who writes: the threads that publish, by themselves, whichever comes first for all.

A thread puts its call down and, if nobody is writing, writes all that lie there with one send; who comes meanwhile
only waits for its confirms. What cannot be written as things stand is set aside for the I/O thread.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from .calls import WAITING, WRITTEN, Call, Item, Part
from .confirms import ConfirmChannel
from .direct import NotSent
from .io import Link

# How much may be on its way at once; the rest waits in the calls that brought it.
MAX_UNCONFIRMED: Final = 2000
MAX_UNCONFIRMED_BYTES: Final = 8 * 2**20
# Given up by their callers and still not confirmed: a queue without a leader never answers.
MANY_ORPHANS: Final = 100
# Turns that a publishing thread writes for others before it leaves that to the I/O thread.
MOST_TURNS: Final = 10

CLOSED: Final = "the connection was closed by this program"
BLOCKED: Final = "it is low on memory or disk and has stopped all publishers"


class Writer:
    """``submit``, ``give_up`` and ``write`` are for any thread, the rest for the I/O thread.

    ``lock`` is over an item's step from WAITING to WRITTEN, its number on its channel and its sending: nobody sees
    one without the others. ``set_aside`` is called on the loop when there is something for ``take_aside``.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, set_aside: Callable[[], None]) -> None:
        self.lock = threading.RLock()
        self._loop = loop
        self._set_aside = set_aside
        self._inbox: deque[Call] = deque()
        self._ready: deque[Part] = deque()
        self._aside: list[Part] = []
        self._link: Link | None = None
        self._channels: dict[str, ConfirmChannel] = {}  # of the queues that may be written to
        self._ladder = False  # is declared: delayed events may be written
        self._closed = False
        # Ever written, by who has the lock, and ever settled, by the I/O thread: the difference is on its way.
        self._written = self._written_bytes = 0
        self._settled = self._settled_bytes = 0
        self._called = False  # by settled, for all that is settled in this turn of the loop

    # Any thread

    def submit(self, call: Call) -> None:
        self._inbox.append(call)
        self.write()

    def give_up(self, call: Call) -> list[tuple[Item, int]]:
        """Nothing of the call is written from now on. Returns the state of each item at this moment."""
        with self.lock:
            call.given_up = True
            states = [(item, item.state) for item in call.items]
            if not call.why and self._link is not None and self._link.blocked:
                call.why = BLOCKED
        self.write()
        return states

    def write(self) -> None:
        """Writes what waits, unless another thread is at it: then that one looks again."""
        for _ in range(MOST_TURNS):
            if self._owned() or not (self._inbox or self._may_go_on()):
                return
            try:
                if not self.lock.acquire(blocking=False):
                    return
                self._turn()
            except BaseException:
                # From outside, such as a time limit's: what is numbered and what is sent may not agree any more.
                self._abandon("a publish was interrupted")
                raise
            finally:  # reached also when that came right after the lock was taken
                if self._owned():
                    self.lock.release()
        with self.lock:
            if not self._closed:
                self._loop.call_soon_threadsafe(self.write)

    def _owned(self) -> bool:
        return bool(self.lock._is_owned())  # type: ignore[attr-defined]

    def _may_go_on(self) -> bool:
        link = self._link
        return bool(self._ready) and link is not None and link.alive and not link.blocked and self._room() > 0

    def _room(self) -> int:
        """How many more may be on their way."""
        if self._written_bytes - self._settled_bytes >= MAX_UNCONFIRMED_BYTES:
            return 0
        return MAX_UNCONFIRMED - (self._written - self._settled)

    def _turn(self) -> None:
        while self._inbox:
            call = self._inbox.popleft()
            part = Part(call, call.items)
            if self._closed:
                part.fail(CLOSED)
            elif self._is_open(call):
                self._ready.append(part)
            else:
                self._shut(call.queue)
                self._put_aside(part)
        pieces: list[bytes] = []
        batches: list[tuple[ConfirmChannel, Part]] = []
        while self._may_go_on():
            part = self._ready[0]
            if part.call.given_up:
                self._ready.popleft()
            elif self._is_open(part.call):
                batches.append(self._number(self._ready.popleft(), pieces))
            else:
                self._shut(part.call.queue)
        if pieces:
            self._send(pieces, batches)

    def _is_open(self, call: Call) -> bool:
        channel = self._channels.get(call.queue)
        if channel is None or not channel.open or channel.orphans >= MANY_ORPHANS:
            return False
        return self._ladder or not call.delayed

    def _shut(self, queue: str) -> None:
        """Nothing overtakes what is set aside: all that goes to the queue is, until it is opened again."""
        self._channels.pop(queue, None)
        ready, self._ready = self._ready, deque()
        for part in ready:
            if part.call.queue == queue:
                self._put_aside(part)
            else:
                self._ready.append(part)

    def _put_aside(self, part: Part) -> None:
        if not self._aside:
            self._loop.call_soon_threadsafe(self._set_aside)
        self._aside.append(part)

    def _number(self, part: Part, pieces: list[bytes]) -> tuple[ConfirmChannel, Part]:
        """Adds the frames of the first items of a part; the others stay ready."""
        channel = self._channels[part.call.queue]
        fitting, size = 0, 0
        limit = MAX_UNCONFIRMED_BYTES - (self._written_bytes - self._settled_bytes)
        for item in part.items[: self._room()]:
            if size >= limit:
                break
            item.state, item.channel = WRITTEN, channel
            size += len(item.body)
            fitting += 1
        if fitting < len(part.items):
            self._ready.appendleft(Part(part.call, part.items[fitting:]))
            part = Part(part.call, part.items[:fitting])
        pieces += channel.frames(part.items)
        self._written += fitting
        self._written_bytes += size
        channel.used = self._written
        return channel, part

    def _send(self, pieces: list[bytes], batches: list[tuple[ConfirmChannel, Part]]) -> None:
        link = self._link
        assert link is not None
        try:
            link.write(pieces)
        except NotSent:  # the connection is dead, but nothing is in doubt: all of it goes out by the next one
            for channel, part in reversed(batches):
                channel.take_back(part.items)
                for item in part.items:
                    item.state = WAITING
                    self._written_bytes -= len(item.body)
                self._written -= len(part.items)
                self._ready.appendleft(part)
            self._abandon("its socket takes nothing any more")

    def _abandon(self, why: str) -> None:
        link, self._link = self._link, None
        if link is not None:
            self._loop.call_soon_threadsafe(link.abort, why)

    # The I/O thread

    def connected(self, link: Link) -> None:
        """What is written goes there from now on."""
        link.on_unblocked = self.write
        self._link = link

    def disconnected(self) -> list[Part]:
        """The link is gone. Returns what was ready to be written to it."""
        with self.lock:
            self._link, self._ladder = None, False
            self._channels.clear()
            ready = list(self._ready)
            self._ready.clear()
        self.write()
        return ready

    def open(self, queue: str, channel: ConfirmChannel, ladder: bool, parts: list[Part]) -> None:
        """The queue may be written to, and ``parts`` come before all others that go there."""
        with self.lock:
            self._channels[queue] = channel
            self._ladder = ladder
            parts += [part for part in self._aside if part.call.queue == queue]
            self._aside = [part for part in self._aside if part.call.queue != queue]
            self._ready += parts
        self.write()

    def shut(self, queue: str) -> None:
        """What goes to the queue is set aside from now on."""
        with self.lock:
            self._shut(queue)
        self.write()

    def shut_idle(self, channel: ConfirmChannel, queue: str) -> bool:
        """As ``shut``, unless something is on its way."""
        with self.lock:
            idle = channel.idle
            if idle:
                self._shut(queue)
        self.write()
        return idle

    def take_aside(self) -> list[Part]:
        """What could not be written."""
        with self.lock:
            aside, self._aside = self._aside, []
        self.write()
        return aside

    def settled(self, size: int) -> None:
        """One item, with a body of so many bytes, is not on its way any more."""
        self._settled += 1
        self._settled_bytes += size
        if self._ready and not self._called:
            self._called = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._called = False
        self.write()

    def close(self) -> None:
        """Fails all that is not written, now and from now on."""
        with self.lock:
            self._closed = True
            waiting = [*self._ready, *self._aside]
            self._ready.clear()
            self._aside.clear()
        for part in waiting:
            part.fail(CLOSED)
        self.write()
