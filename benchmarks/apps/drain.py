"""Workers that do nothing but count, and write down when the first event and the last one came."""

import os

from benchmarks.apps.count import Count, Visit
from benchmarks.apps.spin import spin
from postroom import BatchWorker, Queue, Worker, assign_queue

singles = Queue("singles", Visit)
batches = Queue("batches", Visit)
hundreds = Queue("hundreds", Visit)
works = Queue("works", Visit)


def count(queue: str) -> Count:
    """Of a worker in an executor, whose parent is the consumer."""
    return Count(queue, (os.getpid(), os.getppid()))


@assign_queue(singles)
class SingleWorker(Worker[Visit]):
    def start(self) -> None:
        self.count = count("singles")

    def consume(self, event: Visit) -> None:
        self.count.add(1)


@assign_queue(batches, batch_size=500, batch_seconds=0.05)
class Batches(BatchWorker[Visit]):
    def start(self) -> None:
        self.count = count("batches")

    def consume_batch(self, events: list[Visit]) -> None:
        self.count.add(len(events))


@assign_queue(hundreds, batch_size=100, batch_seconds=0.05, prefetch=500)
class Hundreds(BatchWorker[Visit]):
    def start(self) -> None:
        self.count = count("hundreds")

    def consume_batch(self, events: list[Visit]) -> None:
        self.count.add(len(events))


@assign_queue(works)
class Working(Worker[Visit]):
    def start(self) -> None:
        self.count = count("works")

    def consume(self, event: Visit) -> None:
        spin()
        self.count.add(1)
