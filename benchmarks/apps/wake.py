"""Writes down how long after its publish each event's consume began."""

import time
from typing import Any

from benchmarks.apps.record import record
from postroom import Queue, assign_queue

wake: Queue[dict[str, Any]] = Queue("wake", dict[str, Any])


@assign_queue(wake)
def work(event: dict[str, Any]) -> None:
    record(f"{time.monotonic() - event['sent']}", "waits")
