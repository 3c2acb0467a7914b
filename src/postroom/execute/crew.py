"""The threads of an executor: who works on which lane, and how they are handed events."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from .batch import consume_batch
from .guard import Guard
from .lane import Lane
from .page import Page
from .protocol import Item, Up
from .report import Report
from .single import consume_one
from .tasks import AsyncLane, LoopThread

Job = Item | list[Item]


class SyncLane:
    """The events of a lane whose worker is not async, and the threads that take them."""

    def __init__(self, lane: Lane, page: Page, guards: list[Guard], report: Report) -> None:
        self._lane = lane
        self._page = page
        self._guards = guards
        self._report = report
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def put(self, items: list[Item], batch: bool) -> None:
        """Events to consume, one by one or as one batch."""
        if batch:
            self._jobs.put(items)
        else:
            for item in items:
                self._jobs.put(item)

    def start(self) -> None:
        """Starts a thread for each slot."""
        for number, guard in enumerate(self._guards):
            name = f"postroom-{self._lane.name}-{number}"
            thread = threading.Thread(target=self.work, args=(guard,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def work(self, guard: Guard | None = None) -> None:
        """Consumes until ``clear``, on the calling thread."""
        guard = guard or self._guards[0]
        jobs, lane, page, report = self._jobs, self._lane, self._page, self._report
        while (job := jobs.get()) is not None:
            if isinstance(job, list):
                consume_batch(lane, job, page, guard, report)
            else:
                consume_one(lane, job, page, guard, report, jobs.empty())

    def recall(self) -> list[int]:
        """Takes back the events that are not begun. Returns their numbers."""
        left: list[int] = []
        while True:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return left
            if job is not None:
                left += [item.seq for item in (job if isinstance(job, list) else [job])]

    def clear(self) -> list[int]:
        """Begins nothing more. Returns the numbers of the events that were not begun."""
        left = self.recall()
        for _ in self._guards:
            self._jobs.put(None)
        return left

    def join(self) -> None:
        """Waits for the threads, after ``clear``."""
        for thread in self._threads:
            thread.join()


class Crew:
    """All lanes of an executor, at work.

    With exactly one slot, and it not async, the main thread works (``work_here``), so that the soft limit can be
    raised by its signal even in a system call. Otherwise every slot is on another thread.
    """

    def __init__(self, lanes: list[Lane], page: Page, send: Callable[[Up], None]) -> None:
        self.guards: list[Guard] = []
        self._sync: dict[int, SyncLane] = {}
        self._async: dict[int, AsyncLane] = {}
        self._loop: LoopThread | None = None
        self._lanes = lanes
        for lane in lanes:
            first = len(self.guards)
            slots = range(first, first + lane.options.concurrency)
            guards = [Guard(page, slot, lane.options.timeout) for slot in slots]
            self.guards += guards
            report = Report(lane.number, send)
            if lane.kind == "async":
                self._loop = self._loop or LoopThread()
                self._async[lane.number] = self._loop.lane(lane, page, guards, report)
            else:
                self._sync[lane.number] = SyncLane(lane, page, guards, report)
        self.single = len(self.guards) == 1 and not self._async

    def put(self, lane: int, items: list[Item], batch: bool) -> None:
        """Events of a lane."""
        if lane in self._async:
            self._async[lane].put(items)
        else:
            self._sync[lane].put(items, batch)

    def start(self) -> None:
        """Starts the threads, unless the only slot is the main thread's."""
        if not self.single:
            for lane in self._sync.values():
                lane.start()

    def work_here(self) -> None:
        """Works on the only lane until ``clear``, on the calling thread."""
        (lane,) = self._sync.values()
        lane.work()

    def enforce(self, now: float) -> None:
        """Raises the soft limit where it is over; ``now`` in monotonic seconds. On the main thread only."""
        for guard in self.guards:
            guard.enforce(now)

    def recall(self, lane: int) -> list[int]:
        """Takes back the events of a lane that are not begun. Returns their numbers."""
        return self._async[lane].recall() if lane in self._async else self._sync[lane].recall()

    def clear(self) -> list[int]:
        """Begins nothing more. Returns the numbers of the events that were not begun."""
        left: list[int] = []
        for sync_lane in self._sync.values():
            left += sync_lane.clear()
        for async_lane in self._async.values():
            left += async_lane.clear()
        return left

    def finish(self) -> None:
        """Waits for what is in hand, after ``clear``, and lets the workers close what they opened."""
        for lane in self._sync.values():
            lane.join()
        if self._loop is not None:
            self._loop.finish(list(self._async.values()))
        for each in self._lanes:
            each.stop()
