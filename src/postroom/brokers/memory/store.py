"""The queues themselves: what is ready, delayed, in hand and dead, under one lock."""

import heapq
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from itertools import count
from typing import Protocol

from msgspec import Struct

from postroom.brokers.base import Delivery, Fate
from postroom.brokers.pending import Pending
from postroom.policy.report import WorkerReport
from postroom.wire import headers as past
from postroom.wire.message import Headers, Message


class Holder(Protocol):
    """A hold, as the store sees it."""

    def wake(self) -> None: ...
    def sever(self, why: str) -> None: ...
    def takes(self, queue: str) -> bool: ...
    def ask(self) -> Future[list[WorkerReport]]: ...


class Event(Struct, eq=False):
    """A message on its way through a queue. ``place`` orders the queue; ``since`` is when it became ready."""

    queue: str
    place: int
    message: Message
    since: float
    returns: int = 0
    holder: Holder | None = None


class Queue:
    """``ready`` is a heap by place, ``delayed`` one by due time; ``dead`` is in order of death."""

    def __init__(self) -> None:
        self.ready: list[tuple[int, Event]] = []
        self.delayed: list[tuple[float, int, Event]] = []
        self.dead: list[Message] = []
        self.paused = False


class Store:
    """All queues of one URL.

    ``in_hand`` has a new tag for each time an event is taken, so that settling it late finds nothing.
    ``asked`` is called with the queue and the id of each request.
    The lock may be taken again by the thread that has it.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clock: Callable[[], float] = time.time
        self.queues: dict[str, Queue] = {}
        self.in_hand: dict[int, Event] = {}
        self.holders: list[Holder] = []
        self.pending = Pending()
        self.asked: Callable[[str, str], None] | None = None
        self._numbers = count(1)

    def queue(self, name: str) -> Queue:
        """The queue, made where it does not exist, with its due events among the ready ones."""
        queue = self.queues.setdefault(name, Queue())
        while queue.delayed and queue.delayed[0][0] <= self.clock():
            due, _, event = heapq.heappop(queue.delayed)
            event.place, event.since = next(self._numbers), due
            heapq.heappush(queue.ready, (event.place, event))
        return queue

    def put(self, name: str, messages: Iterable[Message], delay: float) -> None:
        with self.lock:
            queue, now = self.queue(name), self.clock()
            for message in messages:
                event = Event(name, next(self._numbers), _copy(message), now)
                if delay > 0:
                    heapq.heappush(queue.delayed, (now + delay, event.place, event))
                else:
                    heapq.heappush(queue.ready, (event.place, event))
        self.wake()

    def first(self, name: str, limit: int) -> list[Message]:
        with self.lock:
            return [_copy(event.message) for _, event in heapq.nsmallest(limit, self.queue(name).ready)]

    def take(self, name: str, limit: int, holder: Holder | None) -> list[Delivery]:
        taken: list[Delivery] = []
        with self.lock:
            queue = self.queue(name)
            held = self._keys_in_hand(name)
            blocked: list[Event] = []
            while queue.ready and len(taken) < limit:
                event = heapq.heappop(queue.ready)[1]
                key = past.key(event.message.headers)
                if key is not None:
                    if key in held:  # one event of a key is out at a time, the earliest
                        blocked.append(event)
                        continue
                    held.add(key)
                event.holder = holder
                tag = next(self._numbers)
                self.in_hand[tag] = event
                taken.append(Delivery(name, _copy(event.message), event.returns, tag))
            for event in blocked:
                heapq.heappush(queue.ready, (event.place, event))
        return taken

    def free(self, name: str) -> int:
        """How many ready events wait for no other of their key."""
        with self.lock:
            held = self._keys_in_hand(name)
            keys = [past.key(event.message.headers) for _, event in self.queue(name).ready]
            return keys.count(None) + len({*keys} - {*held, None})

    def _keys_in_hand(self, name: str) -> set[str | None]:
        return {past.key(event.message.headers) for event in self.in_hand.values() if event.queue == name}

    def ack(self, deliveries: Iterable[Delivery]) -> None:
        with self.lock:
            for delivery in deliveries:
                self.in_hand.pop(delivery.tag, None)
        self.wake()

    def reschedule(self, delivery: Delivery, headers: Headers, delay: float) -> bool:
        with self.lock:
            event = self.in_hand.pop(delivery.tag, None)
            if event is not None:
                self.put(event.queue, [_replaced(event.message, headers)], delay)
        return event is not None

    def bury(self, delivery: Delivery, headers: Headers) -> bool:
        with self.lock:
            event = self.in_hand.pop(delivery.tag, None)
            if event is not None:
                self.queue(event.queue).dead.append(_replaced(event.message, headers))
        self.wake()
        return event is not None

    def note(self, delivery: Delivery, headers: Headers) -> bool:
        with self.lock:
            event = self.in_hand.get(delivery.tag)
            if event is not None:
                event.message = _replaced(event.message, headers)
        return event is not None

    def give_back(self, tags: Sequence[int], counted: bool) -> None:
        with self.lock:
            for tag in tags:
                event = self.in_hand.pop(tag, None)
                if event is not None:
                    event.returns += counted
                    event.holder = None
                    heapq.heappush(self.queue(event.queue).ready, (event.place, event))
        self.wake()

    def held_by(self, holder: Holder) -> list[int]:
        return [tag for tag, event in self.in_hand.items() if event.holder is holder]

    def next_due(self, names: Iterable[str]) -> float | None:
        """When the next delayed event of these queues is due; None where there is none."""
        heaps = [self.queue(name).delayed for name in names]
        return min((heap[0][0] for heap in heaps if heap), default=None)

    def set_paused(self, name: str, paused: bool) -> None:
        with self.lock:
            self.queue(name).paused = paused
        self.wake()

    def sweep_dead(self, name: str, judge: Callable[[Message], Fate]) -> dict[Fate, int]:
        fates = dict.fromkeys(Fate, 0)
        with self.lock:
            letters = list(self.queue(name).dead)
        for letter in letters:
            fate = judge(_copy(letter))  # without the lock: it may take its time, or use this broker
            with self.lock:
                dead = self.queue(name).dead
                where = next((place for place, other in enumerate(dead) if other is letter), None)
                if where is None:
                    continue  # purged or swept by another meanwhile
                fates[fate] += 1
                if fate is not Fate.KEEP:
                    del dead[where]
                if fate is Fate.REQUEUE:
                    self.put(name, [_replaced(letter, past.revived(letter.headers))], 0)
        return fates

    def wake(self) -> None:
        with self.lock:
            for holder in list(self.holders):
                holder.wake()


def _copy(message: Message) -> Message:
    return Message(message.id, message.body, dict(message.headers), message.published)


def _replaced(message: Message, headers: Headers) -> Message:
    return Message(message.id, message.body, dict(headers), message.published)
