"""Queues that keep order within a key."""

from typing import Any

from postroom import Queue, assign_queue

from .acts import Act, act

HASTE: dict[str, Any] = {"backoff": 0.02, "max_attempts": 3, "max_crashes": 2, "order_by": "key"}

ordered: Queue[Act] = Queue("ordered", Act, **HASTE)
ordered_threads: Queue[Act] = Queue("ordered_threads", Act, **HASTE)

assign_queue(ordered, timeout=2)(act)


@assign_queue(ordered_threads, concurrency=4, processes=2)
def in_threads(event: Act) -> None:
    act(event)
