"""Payloads whose validators misbehave."""

import ctypes
from dataclasses import dataclass
from typing import Any

from postroom import BatchWorker, Queue, assign_queue

from .acts import note

HASTE: dict[str, Any] = {"backoff": 0.02, "max_attempts": 2, "max_crashes": 2}


@dataclass
class Guarded:
    how: str

    def __post_init__(self) -> None:
        if self.how == "spin":
            while True:
                pass
        if self.how == "segfault":
            ctypes.string_at(0)
        if self.how == "key error":
            raise KeyError(self.how)


guarded = Queue("guarded", Guarded, **HASTE)
guarded_batch = Queue("guarded_batch", Guarded, **HASTE)


@assign_queue(guarded, timeout=0.3)
def work(event: Guarded) -> None:
    note("guarded")


@assign_queue(guarded_batch, timeout=0.3, batch_size=4, batch_seconds=0.1)
class Batch(BatchWorker[Guarded]):
    def consume_batch(self, events: list[Guarded]) -> None:
        note("guarded")
