"""The events of the benches, and counting them where they are consumed: Postroom's workers and all others alike."""

import json
import os
import time
from dataclasses import dataclass

from benchmarks.apps.record import record
from benchmarks.processes import cpu

EVENTS = int(os.environ.get("DRAIN_EVENTS", "0"))


@dataclass(frozen=True)
class Visit:
    user: int
    path: str
    note: str


def visit(number: int) -> Visit:
    """An event of 300 bytes as JSON."""
    return Visit(number % 1_000_000, "/channel/general", "x" * 245)


class Count:
    """Counts to ``EVENTS``, and then writes to ``drained-NAME`` how many came a second, from the first to the last,
    and what processor time ``processes`` (this one by default) spent meanwhile for 10,000 of them."""

    def __init__(self, name: str, processes: tuple[int, ...] = (os.getpid(),)) -> None:
        self._name = name
        self._processes = processes
        self._seen = 0
        self._began = 0.0
        self._used = 0.0

    def add(self, events: int) -> None:
        """So many more."""
        if not self._seen:
            self._used = self._cpu()
            self._began = time.monotonic()
        before, self._seen = self._seen, self._seen + events
        if before < EVENTS <= self._seen:
            rate = EVENTS / (time.monotonic() - self._began)
            used = (self._cpu() - self._used) * 10_000 / EVENTS
            record(json.dumps({"rate": rate, "cpu": used}), f"drained-{self._name}")

    def _cpu(self) -> float:
        return sum(cpu(pid) for pid in self._processes)
