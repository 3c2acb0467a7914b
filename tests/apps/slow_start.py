"""An application that takes a while to import."""

import time
from typing import Any

from postroom import Queue, assign_queue

from .acts import Act, act

HASTE: dict[str, Any] = {"backoff": 0.02, "max_attempts": 3, "max_crashes": 2}

slow_start: Queue[Act] = Queue("slow_start", Act, **HASTE)

time.sleep(0.7)


@assign_queue(slow_start)
def work(event: Act) -> None:
    act(event)
