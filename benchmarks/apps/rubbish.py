"""A typed queue."""

import os
from dataclasses import dataclass

from benchmarks.apps.record import record
from postroom import Queue, assign_queue, current_event


@dataclass(frozen=True)
class Guest:
    email: str
    team: int
    tags: list[str]


guests = Queue("guests", Guest)


@assign_queue(guests)
def work(event: Guest) -> None:
    record(f"{current_event().id} {os.getpid()}")
