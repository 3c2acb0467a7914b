"""Two queues of long jobs: one that holds the GIL in C, and one that only waits."""

import ctypes
import time

from benchmarks.apps.record import record
from postroom import Queue, assign_queue, current_event

gil: Queue[dict[str, float]] = Queue("gil", dict[str, float], max_crashes=1)
long: Queue[dict[str, float]] = Queue("long", dict[str, float], max_crashes=1)


@assign_queue(gil, timeout=None)
def hold_the_gil(event: dict[str, float]) -> None:
    record(current_event().id, "begun")
    # PyDLL, unlike CDLL, does not release the GIL: no Python runs in this process meanwhile.
    ctypes.PyDLL(None).usleep(int(event["seconds"] * 1e6))
    record(current_event().id)


@assign_queue(long, timeout=None)
def take_long(event: dict[str, float]) -> None:
    record(current_event().id, "begun")
    time.sleep(event["seconds"])
    record(current_event().id)
