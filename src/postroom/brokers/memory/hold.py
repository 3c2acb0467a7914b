"""``MemoryHold``: see ``brokers.base.Hold`` for what it promises."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future

from postroom.brokers.base import Delivery, Listener
from postroom.policy.report import WorkerReport
from postroom.wire.message import Headers
from postroom.wire.reply import Reply

from .store import Store


class MemoryHold:
    """A consumer's grip on events in memory."""

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop, listener: Listener) -> None:
        self._store = store
        self._loop = loop
        self._listener = listener
        self._prefetch: dict[str, int] = {}
        self._paused: set[str] = set()  # of these the listener knows that they are
        self._severed: list[str] = []
        self._woken = False
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        with self._store.lock:
            self._store.holders.append(self)
        self.wake()

    def subscribe(self, queue: str, prefetch: int, ordered: bool = False) -> None:
        with self._store.lock:
            self._store.queue(queue)
            self._prefetch[queue] = prefetch
        self.wake()

    def unsubscribe(self, queue: str) -> None:
        with self._store.lock:
            self._prefetch.pop(queue, None)
            self._paused.discard(queue)

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._store.ack(deliveries)

    async def reschedule(self, delivery: Delivery, headers: Headers, delay: float) -> bool:
        return self._store.reschedule(delivery, headers, delay)

    async def bury(self, delivery: Delivery, headers: Headers) -> bool:
        return self._store.bury(delivery, headers)

    async def reply(self, delivery: Delivery, reply: Reply) -> None:
        self._store.pending.answer(delivery.message.id, reply)

    async def note(self, delivery: Delivery, headers: Headers) -> bool:
        return self._store.note(delivery, headers)

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        self._store.give_back([delivery.tag for delivery in deliveries], counted=False)

    @property
    def in_hand_limit(self) -> None:
        return None

    async def owed(self, queue: str) -> int:
        with self._store.lock:
            if queue not in self._prefetch or queue in self._paused:
                return 0
            held = sum(self._store.in_hand[tag].queue == queue for tag in self._store.held_by(self))
            return self._store.free(queue) if held < self._prefetch[queue] else 0

    def resubscribe(self, queue: str) -> None:
        self.wake()

    async def close(self) -> None:
        self._leave(counted=False)

    def crash(self) -> None:
        """What SIGKILL to its process does: what it held returns and is counted; its listener hears no more."""
        self._leave(counted=True)

    def sever(self, why: str) -> None:
        """Loses what it holds; the listener is told on its loop. Any thread."""
        with self._store.lock:
            self._severed.append(why)
            self._store.give_back(self._store.held_by(self), counted=True)
        self.wake()

    def takes(self, queue: str) -> bool:
        return queue in self._prefetch

    def ask(self) -> Future[list[WorkerReport]]:
        """The listener's reports, given on its loop. Any thread."""
        answer: Future[list[WorkerReport]] = Future()
        self._loop.call_soon_threadsafe(lambda: answer.set_result(self._listener.reports()))
        return answer

    def wake(self) -> None:
        """Has the hold look for events and changes soon. Any thread."""
        with self._store.lock:
            if self._woken or self not in self._store.holders:
                return
            try:
                self._loop.call_soon_threadsafe(self._look)
            except RuntimeError:  # the loop was closed and the hold was not: in effect its process is gone
                self._leave(counted=True)
            else:
                self._woken = True

    def _look(self) -> None:
        with self._store.lock:
            self._woken = False
            if self not in self._store.holders:
                return
            severed, self._severed = self._severed, []
            paused = {queue for queue in self._prefetch if self._store.queue(queue).paused}
            known, self._paused = self._paused, paused
            taken = [one for queue in self._prefetch if queue not in paused for one in self._take(queue)]
            self._set_timer()
        for why in severed:
            self._listener.lost(why)
            self._listener.regained()
        for queue in sorted(paused - known):
            self._listener.paused(queue)
        for queue in sorted(known - paused):
            self._listener.resumed(queue)
        if taken:
            self._listener.delivered(taken)

    def _take(self, queue: str) -> list[Delivery]:
        in_hand = self._store.in_hand
        held = sum(in_hand[tag].queue == queue for tag in self._store.held_by(self))
        return self._store.take(queue, self._prefetch[queue] - held, self)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._store.next_due(self._prefetch)
        if due is not None:
            self._timer = self._loop.call_later(max(0.001, due - self._store.clock()), self.wake)

    def _leave(self, counted: bool) -> None:
        with self._store.lock:
            if self in self._store.holders:
                self._store.holders.remove(self)
            self._prefetch.clear()
            self._store.give_back(self._store.held_by(self), counted)
