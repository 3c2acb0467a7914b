"""Workers that do nothing but count, and write down when the first event and the last one came."""

import os
import time
from dataclasses import dataclass

from benchmarks.apps.record import record
from postroom import BatchWorker, Queue, Worker, assign_queue


@dataclass(frozen=True)
class Visit:
    user: int
    path: str
    note: str


def visit(number: int) -> Visit:
    """An event of 300 bytes as JSON."""
    return Visit(number % 1_000_000, "/channel/general", "x" * 245)


singles = Queue("singles", Visit)
batches = Queue("batches", Visit)

EVENTS = int(os.environ.get("DRAIN_EVENTS", "0"))


class Count:
    """Counts to ``EVENTS``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen = 0
        self.first = 0.0

    def add(self, events: int) -> None:
        """So many more."""
        if not self.seen:
            self.first = time.monotonic()
        self.seen += events
        if self.seen >= EVENTS:
            record(f"{EVENTS / (time.monotonic() - self.first)}", f"rate-{self.name}")


@assign_queue(singles)
class SingleWorker(Worker[Visit]):
    def start(self) -> None:
        self.count = Count("singles")

    def consume(self, event: Visit) -> None:
        self.count.add(1)


@assign_queue(batches, batch_size=500, batch_seconds=0.05)
class Batches(BatchWorker[Visit]):
    def start(self) -> None:
        self.count = Count("batches")

    def consume_batch(self, events: list[Visit]) -> None:
        self.count.add(len(events))
