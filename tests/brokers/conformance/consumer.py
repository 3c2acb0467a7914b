"""A consumer that tests read synchronously: a hold and its listener on an asyncio loop in a thread of its own."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from postroom.brokers.base import Broker, Delivery, Hold
from postroom.brokers.memory.hold import MemoryHold
from postroom.policy.report import WorkerReport
from postroom.wire.message import Headers
from postroom.wire.reply import Reply

PATIENCE = 15.0
"""Seconds until a condition that is awaited counts as never met."""

T = TypeVar("T")


class Consumer:
    """Everything that the listener was told is kept: ``lost``, ``regained``, ``paused`` and ``resumed`` are lists
    of what came; ``delivered`` has the deliveries that no ``take`` has fetched."""

    def __init__(self, broker: Broker, name: str = "conformance") -> None:
        self._told = threading.Condition()
        self._delivered: list[Delivery] = []
        self._lost: list[str] = []
        self._regained = 0
        self.reports: list[WorkerReport] = []  # what it tells when it is asked how it goes
        self._paused: list[str] = []
        self._resumed: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()
        self._open = True
        self._hold: Hold = self._run(self._make(broker, name))

    def subscribe(self, queue: str, prefetch: int) -> None:
        self._call(lambda: self._hold.subscribe(queue, prefetch))

    def subscribe_ordered(self, queue: str, prefetch: int) -> None:
        self._call(lambda: self._hold.subscribe(queue, prefetch, ordered=True))

    def resubscribe(self, queue: str) -> None:
        self._call(lambda: self._hold.resubscribe(queue))

    def owed(self, queue: str) -> int:
        return self._run(self._hold.owed(queue))

    def unsubscribe(self, queue: str) -> None:
        self._call(lambda: self._hold.unsubscribe(queue))

    def take(self, queue: str, count: int, prefetch: int = 0, timeout: float = PATIENCE) -> list[Delivery]:
        """Subscribes with a prefetch of ``count``, unless told otherwise, and returns the first ``count``
        deliveries of the queue."""
        self.subscribe(queue, prefetch or count)
        return self.next(queue, count, timeout)

    def next(self, queue: str, count: int, timeout: float = PATIENCE) -> list[Delivery]:
        """The next ``count`` deliveries of a queue that has been subscribed to."""

        def enough() -> bool:
            return sum(delivery.queue == queue for delivery in self._delivered) >= count

        with self._told:
            if not self._told.wait_for(enough, timeout):
                ids = [delivery.message.id for delivery in self._delivered]
                raise AssertionError(f"not {count} deliveries of {queue} within {timeout} s, only {ids}")
            taken = [delivery for delivery in self._delivered if delivery.queue == queue][:count]
            gone = {id(delivery) for delivery in taken}
            self._delivered = [delivery for delivery in self._delivered if id(delivery) not in gone]
        return taken

    def rest(self) -> list[Delivery]:
        """The deliveries that have come and were not taken, at this moment."""
        self._call(lambda: None)  # what the hold's own thread has handed to the loop by now is counted
        with self._told:
            taken, self._delivered = self._delivered, []
        return taken

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._call(lambda: self._hold.ack(deliveries))

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        self._call(lambda: self._hold.give_back(deliveries))

    def reschedule(self, delivery: Delivery, headers: Headers, delay: float) -> bool:
        return self._run(self._hold.reschedule(delivery, headers, delay))

    def bury(self, delivery: Delivery, headers: Headers) -> bool:
        return self._run(self._hold.bury(delivery, headers))

    def bury_all(self, deliveries: Sequence[Delivery], headers: Headers) -> None:
        """Buries all at the same time."""

        async def burying() -> list[bool]:
            return await asyncio.gather(*(self._hold.bury(delivery, headers) for delivery in deliveries))

        assert all(self._run(burying()))

    def wait_paused(self, queue: str, times: int = 1) -> None:
        """Until the listener has been told ``times`` times that the queue is paused."""
        self._wait(lambda: self._paused.count(queue) >= times, f"told that {queue} is paused")

    def wait_resumed(self, queue: str, times: int = 1) -> None:
        self._wait(lambda: self._resumed.count(queue) >= times, f"told that {queue} is resumed")

    def wait_lost(self, times: int = 1) -> str:
        """Until the hold has been lost; why."""
        self._wait(lambda: len(self._lost) >= times, "told that the hold is lost")
        return self._lost[-1]

    def wait_regained(self, times: int = 1) -> None:
        self._wait(lambda: self._regained >= times, "told that the hold is regained")

    def reply(self, delivery: Delivery, reply: Reply) -> None:
        self._run(self._hold.reply(delivery, reply))

    def close(self) -> None:
        if self._open:
            self._open = False
            start = time.monotonic()
            self._run(self._hold.close())
            assert time.monotonic() - start < 6, "Hold.close() took more than 5 s"
            self._stop()

    def crash(self) -> None:
        """What it holds is lost without a goodbye. Only where the broker is memory; see ``remote`` for others."""
        assert isinstance(self._hold, MemoryHold)
        self._open = False
        self._call(self._hold.crash)
        self._stop()

    async def _make(self, broker: Broker, name: str) -> Hold:
        hold = broker.hold(asyncio.get_running_loop(), _Listener(self), name)
        await hold.open()
        return hold

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def _call(self, act: Callable[[], T]) -> T:
        async def acting() -> T:
            return act()

        return self._run(acting())

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        with self._told:
            assert self._told.wait_for(condition, PATIENCE), f"not {what} within {PATIENCE} s"

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()


class _Listener:
    """Writes down what it is told, and refuses to be told by the wrong thread."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def delivered(self, deliveries: list[Delivery]) -> None:
        with self._noted() as consumer:
            consumer._delivered += deliveries

    def lost(self, why: str) -> None:
        with self._noted() as consumer:
            consumer._lost.append(why)
            consumer._delivered.clear()

    def regained(self) -> None:
        with self._noted() as consumer:
            consumer._regained += 1

    def voided(self, queue: str, why: str, outlasted: bool) -> None:
        with self._noted() as consumer:
            consumer._delivered = [each for each in consumer._delivered if each.queue != queue]

    def paused(self, queue: str) -> None:
        with self._noted() as consumer:
            consumer._paused.append(queue)

    def recalled(self, queue: str, which: Callable[[Delivery], bool]) -> None:
        with self._noted() as consumer:
            back = [each for each in consumer._delivered if each.queue == queue and which(each)]
            consumer._delivered = [each for each in consumer._delivered if each not in back]
            consumer._hold.give_back(back)

    def reports(self) -> list[WorkerReport]:
        with self._noted() as consumer:
            return consumer.reports

    def resumed(self, queue: str) -> None:
        with self._noted() as consumer:
            consumer._resumed.append(queue)

    def _noted(self) -> "_Note":
        assert threading.current_thread() is self._consumer._thread, "a listener was called outside its loop"
        return _Note(self._consumer)


class _Note:
    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def __enter__(self) -> Consumer:
        self._consumer._told.acquire()
        return self._consumer

    def __exit__(self, *_: object) -> None:
        self._consumer._told.notify_all()
        self._consumer._told.release()


def eventually(condition: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
    """Waits until ``condition`` holds, asking again and again; for what nothing tells us of."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.01)
