"""``MemoryBroker``: see ``brokers.base.Broker`` for what it promises."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from postroom.brokers.base import Delivery, Fate, Figures, Listener
from postroom.policy.report import WorkerReport
from postroom.wire import headers as h
from postroom.wire.message import Headers, Message
from postroom.wire.reply import Reply

from .hold import MemoryHold
from .store import Store

if TYPE_CHECKING:
    from concurrent.futures import Future

_stores: dict[str, Store] = {}
_making = threading.Lock()


class MemoryBroker:
    """``memory://`` or ``memory://NAME``: all brokers of one URL in a process share their queues.

    Time can be moved: ``advance`` makes delayed events due without waiting. Everything is thread-safe.
    Beside the protocol there are synchronous verbs for tests: ``take``, and ``ack``, ``reschedule``, ``bury``,
    ``give_back`` for what was taken.
    """

    def __init__(self, url: str = "memory://") -> None:
        self.url = url
        with _making:
            self._store = _stores.setdefault(url, Store())

    def declare(self, queue: str, ordered: bool = False) -> None:
        with self._store.lock:
            self._store.queue(queue)

    def publish(self, queue: str, messages: Sequence[Message], delay: float, timeout: float) -> None:
        self._store.put(queue, messages, delay)

    def request(self, queue: str, message: Message, timeout: float, reply: "Future[Reply]") -> None:
        store = self._store
        message.headers[h.REPLY_TO] = self.url
        store.pending.add(queue, message.id, reply)
        store.put(queue, [message], 0)
        if store.asked is not None:
            store.asked(queue, message.id)

    def hold(self, loop: asyncio.AbstractEventLoop, listener: Listener, name: str) -> MemoryHold:
        return MemoryHold(self._store, loop, listener)

    def queues(self) -> list[str]:
        with self._store.lock:
            return sorted(self._store.queues)

    def figures(self, queue: str) -> Figures:
        store = self._store
        with store.lock:
            found = store.queue(queue)
            return Figures(
                ready=len(found.ready),
                in_hand=sum(event.queue == queue for event in store.in_hand.values()),
                delayed=len(found.delayed),
                dead=len(found.dead),
                consumers=sum(hold.takes(queue) for hold in store.holders),
                oldest=max(0.0, store.clock() - found.ready[0][1].since) if found.ready else None,
                paused=found.paused,
            )

    def reports(self, expected: Mapping[str, int], seconds: float) -> list[WorkerReport]:
        with self._store.lock:
            asked = [hold.ask() for hold in self._store.holders]
        until = time.monotonic() + seconds
        found: list[WorkerReport] = []
        for future in asked:
            with contextlib.suppress(TimeoutError):
                found += future.result(max(0.0, until - time.monotonic()))
        return [report for report in found if report.queue in expected]

    def delayed(self) -> int:
        with self._store.lock:
            return sum(len(self._store.queue(name).delayed) for name in self._store.queues)

    def peek(self, queue: str, limit: int) -> list[Message]:
        return self._store.first(queue, limit)

    def purge(self, queue: str) -> int:
        with self._store.lock:
            found = self._store.queue(queue)
            purged = len(found.ready) + len(found.delayed)
            found.ready.clear()
            found.delayed.clear()
            return purged

    def purge_dead(self, queue: str) -> int:
        with self._store.lock:
            dead = self._store.queue(queue).dead
            purged = len(dead)
            dead.clear()
            return purged

    def pause(self, queue: str) -> None:
        self._store.set_paused(queue, True)

    def resume(self, queue: str) -> None:
        self._store.set_paused(queue, False)

    def sweep_dead(self, queue: str, judge: Callable[[Message], Fate]) -> dict[Fate, int]:
        return self._store.sweep_dead(queue, judge)

    def misfit(self, queue: str) -> str:
        """Always empty: a queue has no declaration here that could not fit."""
        return ""

    def migrate(self, queue: str, told: Callable[[str], None], moving: Callable[[int], None]) -> int:
        """There is nothing to move."""
        return 0

    def close(self) -> None:
        """Nothing to disconnect. The queues stay for the other brokers of this URL; ``reset`` empties them."""

    # For tests.

    @property
    def clock(self) -> Callable[[], float]:
        """What tells the time, in seconds since the epoch, to all brokers of this URL."""
        return self._store.clock

    @clock.setter
    def clock(self, clock: Callable[[], float]) -> None:
        self._store.clock = clock
        self._store.wake()

    def advance(self, seconds: float) -> None:
        """Moves the clock on: what was due within ``seconds`` is due now."""
        with self._store.lock:
            before = self._store.clock
            self._store.clock = lambda: before() + seconds
        self._store.wake()

    def free(self, queue: str) -> int:
        """How many ready events ``take`` could give: those that wait for no other of their key."""
        return self._store.free(queue)

    def take(self, queue: str, limit: int) -> list[Delivery]:
        """Up to ``limit`` due events, oldest first, into the caller's hand. A pause does not matter."""
        return self._store.take(queue, limit, None)

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """As ``Hold.ack``."""
        self._store.ack(deliveries)

    def reschedule(self, delivery: Delivery, headers: Headers, delay: float) -> bool:
        """As ``Hold.reschedule``. False if the delivery was settled or lost before."""
        return self._store.reschedule(delivery, headers, delay)

    def bury(self, delivery: Delivery, headers: Headers) -> bool:
        """As ``Hold.bury``. False if the delivery was settled or lost before."""
        return self._store.bury(delivery, headers)

    def reply(self, delivery: Delivery, reply: Reply) -> None:
        """As ``Hold.reply``."""
        self._store.pending.answer(delivery.message.id, reply)

    def unanswered(self, identity: str, error: Exception) -> None:
        """Fails the request, unless it has been answered."""
        self._store.pending.fail(identity, error)

    def when_asked(self, act: Callable[[str, str], None] | None) -> None:
        """Has ``act`` called with the queue and the id of each request that is published at this URL."""
        self._store.asked = act

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """As ``Hold.give_back``."""
        self._store.give_back([delivery.tag for delivery in deliveries], counted=False)

    def sever(self, why: str = "the connection was cut by a test") -> None:
        """What a cut connection does: every hold of this URL loses what it has, is told, and goes on."""
        with self._store.lock:
            for hold in self._store.holders:
                hold.sever(why)

    def reset(self) -> None:
        """Forgets all queues, events and pauses, and sets the clock right. Holds stay and lose what they have."""
        with self._store.lock:
            self.sever("the memory broker was reset")
            self._store.in_hand.clear()
            self._store.queues.clear()
            self._store.clock = time.time
        self._store.wake()
