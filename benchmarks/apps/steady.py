"""One queue whose worker writes down each event it has done, and in which consumer's hands."""

import os
import time

from benchmarks.apps.record import record
from postroom import Queue, assign_queue, current_event

steady: Queue[dict[str, int]] = Queue("steady", dict[str, int], backoff=0.5)

PAUSE = float(os.environ.get("STEADY_SECONDS", "0.001"))


@assign_queue(steady, timeout=30)
def work(event: dict[str, int]) -> None:
    time.sleep(PAUSE)
    event_id = current_event().id
    record(event_id)
    record(f"{time.time()} {os.getppid()} {event_id}", "runs")
