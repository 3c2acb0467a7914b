"""Three queues: good events and one that segfaults; a C call that holds the GIL; one that never returns."""

import ctypes
import os
import time

from benchmarks.apps.record import record
from postroom import Queue, TimeLimitReached, assign_queue, current_event

good: Queue[dict[str, str]] = Queue("good", dict[str, str], backoff=0.5)
holds: Queue[dict[str, float]] = Queue("holds", dict[str, float])
hangs: Queue[dict[str, str]] = Queue("hangs", dict[str, str], backoff=0.5, max_crashes=2)

PAUSE = float(os.environ.get("POISON_SECONDS", "0.06"))


@assign_queue(good, timeout=20, prefetch=500)
def work(event: dict[str, str]) -> None:
    if event.get("kind") == "poison":
        record(current_event().id, "bitten")
        ctypes.string_at(0)
    time.sleep(PAUSE)
    record(current_event().id)


@assign_queue(holds, timeout=None, concurrency=2)
def hold_the_gil(event: dict[str, float]) -> None:
    # PyDLL, unlike CDLL, does not release the GIL: no Python runs in this process meanwhile.
    ctypes.PyDLL(None).sleep(int(event["seconds"]))
    record(current_event().id, "held")


@assign_queue(hangs, timeout=1, concurrency=2)
def hang(event: dict[str, str]) -> None:
    record(current_event().id, "hung")
    while True:
        try:
            time.sleep(60)
        except TimeLimitReached:
            continue
