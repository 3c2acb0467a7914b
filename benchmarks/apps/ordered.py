"""For the soak ``order``: each event waits 5 ms for something; some fail at their first attempt."""

import os
import time

from msgspec import Struct

from benchmarks.apps.record import record
from postroom import Queue, assign_queue, current_event


class Step(Struct):
    """``number``: its place within its key."""

    key: str
    number: int
    flaky: bool = False


ordered = Queue("ordered", Step, order_by="key", backoff=0.05)


@assign_queue(ordered)
def follow(step: Step) -> None:
    time.sleep(0.005)
    if step.flaky and current_event().attempt == 1:
        raise ValueError("not at first")
    record(f"{step.key} {step.number} {os.getpid()}")
