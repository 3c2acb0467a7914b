"""Writes down how long after its publish each event's consume began."""

import time

from benchmarks.apps.record import record
from postroom import Queue, assign_queue

wake: Queue[dict[str, float]] = Queue("wake", dict[str, float])


@assign_queue(wake)
def work(event: dict[str, float]) -> None:
    record(f"{time.monotonic() - event['sent']}", "waits")
