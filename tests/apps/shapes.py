"""One queue for each shape that a worker may have."""

import asyncio
import time
from typing import Any

from postroom import BatchWorker, Queue, Worker, assign_queue, current_events, queue_json_publish

from .acts import ACTS, Act, act, note

HASTE: dict[str, Any] = {"backoff": 0.02, "max_attempts": 3, "max_crashes": 2}

plain: Queue[Act] = Queue("plain", Act, max_bytes=1000, **HASTE)
other: Queue[Act] = Queue("other", Act, **HASTE)
quick: Queue[Act] = Queue("quick", Act, **HASTE)
threads: Queue[Act] = Queue("threads", Act, **HASTE)
tasks: Queue[Act] = Queue("tasks", Act, **HASTE)
batch: Queue[Act] = Queue("batch", Act, **HASTE)
timed_batch: Queue[Act] = Queue("timed_batch", Act, **HASTE)
two: Queue[Act] = Queue("two", Act, **HASTE)
recycled: Queue[Act] = Queue("recycled", Act, **HASTE)
fat: Queue[Act] = Queue("fat", Act, **HASTE)
sends: Queue[Act] = Queue("sends", Act, **HASTE)

assign_queue(plain)(act)


@assign_queue(other)
class Other(Worker[Act]):
    def start(self) -> None:
        note("start")

    def consume(self, event: Act) -> None:
        act(event)

    def stop(self) -> None:
        note("stop")


@assign_queue(quick, timeout=0.4)
def hurry(event: Act) -> None:
    act(event)


@assign_queue(threads, concurrency=4, timeout=0.6)
def in_threads(event: Act) -> None:
    act(event)


@assign_queue(tasks, concurrency=4, timeout=0.6)
async def in_tasks(event: Act) -> None:
    note("begin", n=event.get("n"))
    if event.get("do") == "sleep":
        await asyncio.sleep(60)
    elif event.get("do") == "gate":
        await asyncio.to_thread(ACTS["gate"], event)
    elif event.get("do") == "publish":
        from postroom import aqueue_json_publish

        await aqueue_json_publish(plain, {"n": "from a task"})
    else:
        ACTS[event.get("do", "ok")](event)
    note("end", n=event.get("n"))


class Batches(BatchWorker[Act]):
    def consume_batch(self, events: list[Act]) -> None:
        assert len(events) == len(current_events())
        note("batch", ns=[event.get("n") for event in events])
        for event in events:
            ACTS[event.get("do", "ok")](event)
        note("batch done", ns=[event.get("n") for event in events])


@assign_queue(batch, batch_size=50, batch_seconds=0.3)
class Batch(Batches):
    pass


@assign_queue(timed_batch, batch_size=4, batch_seconds=0.05, timeout=0.3)
class TimedBatch(Batches):
    pass


@assign_queue(two, processes=2)
def in_two_processes(event: Act) -> None:
    act(event)


@assign_queue(recycled, recycle_events=5)
def soon_recycled(event: Act) -> None:
    act(event)


_fat: list[bytes] = []


@assign_queue(fat, recycle_memory=150_000_000)
def grows(event: Act) -> None:
    _fat.append(b"x" * 40_000_000)
    act(event)


@assign_queue(sends)
def sends_on(event: Act) -> None:
    note("sent", id=queue_json_publish("plain", {"n": event["n"], "at": time.time()}))
