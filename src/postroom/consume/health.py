"""How it goes, queue by queue: what a consumer tells when it is asked, and whether it consumes what it should."""

import asyncio
import socket
import time
from typing import Final

from postroom.policy.report import WorkerReport

from .desk import Desk, Place
from .watchdog import Watchdog

EVERY: Final = 1.0  # seconds between looks whether a queue is empty


class Health:
    """``name`` is the consumer's."""

    def __init__(self, desk: Desk, watchdog: Watchdog, name: str) -> None:
        self._desk = desk
        self._watchdog = watchdog
        self._name = f"{name} on {socket.gethostname()}"
        self._room: set[str] = set()

    async def run(self) -> None:
        """Looks, until cancelled, which queues are empty: those of which little was in hand twice in succession,
        though more would have been taken."""
        while True:
            await asyncio.sleep(EVERY)
            room = {name for name, place in self._desk.places.items() if self._has_room(place)}
            for name in room & self._room:
                self._desk.places[name].intake.emptied = time.monotonic()
            self._room = room

    def well(self) -> bool:
        """This process consumes what it should, or has nothing to consume, or waits for its broker, which is away:
        another process would do no better."""
        return self._watchdog.looks() and not any(map(self._watchdog.deaf, self._desk.places))

    def reports(self) -> list[WorkerReport]:
        """One for each queue."""
        now = time.monotonic()
        return [self._report(name, place, now) for name, place in self._desk.places.items()]

    def _has_room(self, place: Place) -> bool:
        wanted = place.intake.subscribed
        # A deaf consumer has room too.
        return wanted is not None and _in_hand(place) <= wanted // 2 and not self._watchdog.waits(place.intake.name)

    def _report(self, name: str, place: Place, now: float) -> WorkerReport:
        intake = place.intake
        tally, declared = intake.tally, intake.declaration
        problem = ""
        if self._watchdog.deaf(name):
            problem = "events wait for it, and none has come to it for a minute"
        elif not place.team.able:
            problem = "its executor does not start, which its log explains"
        return WorkerReport(
            consumer=self._name,
            queue=name,
            up=now - tally.began,
            slots=declared.concurrency * place.team.size,
            mean=tally.mean,
            rate=tally.rate(now),
            done=tally.done,
            in_hand=_in_hand(place),
            quiet=None if tally.latest is None else now - tally.latest,
            emptied=None if intake.emptied is None else now - intake.emptied,
            problem=problem,
        )


def _in_hand(place: Place) -> int:
    return len(place.intake.waiting) + place.team.load(place.intake)
