"""Async workers: one event loop on a thread of its own, one task for each event in hand."""

import asyncio
import threading
import time
from collections import deque

from postroom.queues.middleware import consuming
from postroom.queues.signals import TimeLimitReached
from postroom.wire.event import event_of, in_hand
from postroom.wire.message import Message
from postroom.wire.reply import encoded

from .guard import Guard
from .lane import Lane, Undecodable
from .outcome import failure, rubbish
from .page import FINISHED, IN_HAND, REPORTED, Page
from .protocol import Item, Replied
from .report import Report
from .request import is_request


class AsyncLane:
    """One async function's events. Made on the loop's thread; ``put`` and ``clear`` are for any thread."""

    def __init__(self, lane: Lane, page: Page, guards: list[Guard], report: Report) -> None:
        self._lane = lane
        self._page = page
        self._report = report
        self._free = list(guards)
        self._waiting: deque[Item] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._stopping = False
        self._busy = 0

    def put(self, items: list[Item]) -> None:
        """Events to consume."""
        self._waiting.extend(items)
        self._loop.call_soon_threadsafe(self._begin)

    def recall(self) -> list[int]:
        """Takes back the events that are not begun. Returns their numbers."""
        left = []
        while (item := self._next()) is not None:
            left.append(item.seq)
        return left

    def _next(self) -> Item | None:
        try:
            return self._waiting.popleft()
        except IndexError:  # perhaps another thread has just taken it
            return None

    def clear(self) -> list[int]:
        """Begins nothing more. Returns the numbers of the events that were not begun."""
        self._stopping = True
        left = self.recall()
        self._loop.call_soon_threadsafe(self._begin)
        return left

    async def drained(self) -> None:
        """Returns when all that was put is consumed, and ends the lane."""
        while self._waiting or self._busy:
            await asyncio.sleep(0)
            if self._tasks:
                await asyncio.wait(set(self._tasks))

    async def ended(self) -> None:
        """Returns when all is done after ``clear``."""
        await self._over.wait()

    def _begin(self) -> None:
        while self._free and (item := self._next()) is not None:
            self._busy += 1
            task = self._loop.create_task(self._consume(item, self._free.pop()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._stopping and not self._waiting and not self._busy:
            self._over.set()

    async def _consume(self, item: Item, guard: Guard) -> None:
        lane, seq = self._lane, item.seq
        task = asyncio.current_task()
        assert task is not None
        # The signal's handler runs on the main thread; cancelling is for this one.
        guard.interrupt = lambda: (self._loop.call_soon_threadsafe(task.cancel), None)[1]
        started = time.monotonic()
        error: BaseException | None = None
        reply: bytes | None = None
        try:
            # Decoding runs the application's code too (upgrade, validators), so it is blamed likewise.
            self._page.mark(seq, IN_HAND)
            started = guard.arm(seq)
            asked = bool(item.headers) and is_request(item.headers)
            payload = lane.decode(item.body, item.headers)
            event = event_of(lane.name, Message(item.id, item.body, item.headers, item.published))
            in_hand.set((event,))
            around = consuming(lane.name, (event,))
            if around is None:
                returned = await lane.consume(payload)
            else:
                with around:
                    returned = await lane.consume(payload)
            if asked:
                reply = encoded(returned)
        except Undecodable as undecodable:
            guard.disarm()
            self._report.failed(rubbish(lane.number, seq, str(undecodable), undecodable.newer))
            self._page.mark(seq, REPORTED)
            self._release(guard)
            return
        except BaseException as raised:  # noqa: BLE001 - whatever a worker raises is its failure
            error = raised
        late = guard.disarm()
        if reply is not None:
            self._report.replied(Replied(lane.number, seq, reply, time.monotonic() - started))
            self._page.mark(seq, REPORTED)
        elif error is None:
            self._page.mark(seq, FINISHED)
            now = time.monotonic()
            self._report.done([seq], now - started, now, not self._waiting)
        else:
            if late and isinstance(error, asyncio.CancelledError):
                error = TimeLimitReached(f"over its limit of {guard.timeout:g} s").with_traceback(error.__traceback__)
            self._report.failed(failure(lane.number, seq, error, time.monotonic() - started))
            self._page.mark(seq, REPORTED)
        self._release(guard)

    def _release(self, guard: Guard) -> None:
        self._busy -= 1
        self._free.append(guard)
        self._loop.call_soon(self._begin)


class LoopThread:
    """The event loop of all async lanes of an executor."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="postroom-async", daemon=True)
        self._thread.start()

    def lane(self, lane: Lane, page: Page, guards: list[Guard], report: Report) -> AsyncLane:
        """A lane on this loop."""

        async def make() -> AsyncLane:
            return AsyncLane(lane, page, guards, report)

        return asyncio.run_coroutine_threadsafe(make(), self._loop).result()

    def finish(self, lanes: list[AsyncLane]) -> None:
        """Waits until the cleared lanes are done, and ends the loop."""
        for lane in lanes:
            asyncio.run_coroutine_threadsafe(lane.ended(), self._loop).result()
        asyncio.run_coroutine_threadsafe(self._loop.shutdown_asyncgens(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
