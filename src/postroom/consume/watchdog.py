"""No deaf consumer: notices when a queue holds events that should come here, and none does."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from postroom.errors import BrokerError

from .desk import Desk
from .intake import Intake

log = logging.getLogger("postroom")

EVERY: Final = 10.0  # seconds between looks at a queue from which nothing comes
LOOKS: Final = 6  # looks in a row that found events waiting for us; then something is done
OVERDUE: Final = 30.0  # seconds without a look, after which nobody can say whether we hear


class Watchdog:
    """Asks the broker about each queue from which nothing has come since the last look.

    After a minute in which events waited for this consumer all the time and none came, it subscribes anew; after
    another one it calls ``give_up`` with a sentence. Looks are counted, not seconds: a process that was
    suspended has missed nothing.
    """

    def __init__(self, desk: Desk, give_up: Callable[[str], None]) -> None:
        self._desk = desk
        self._give_up = give_up
        self._waited: dict[str, int] = {}
        self._owing: set[str] = set()  # queues that at the last look had events for us, of which none had come
        self._looked = time.monotonic()

    def looks(self) -> bool:
        """Whether it comes to look at all."""
        return time.monotonic() - self._looked < OVERDUE

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            for place in list(self._desk.places.values()):  # a reload may add to them meanwhile
                await self._look(place.intake)
                self._looked = time.monotonic()

    def waits(self, queue: str) -> bool:
        """At the last look events waited for this consumer, and none had come."""
        return queue in self._owing

    def deaf(self, queue: str) -> bool:
        """Events have waited for this consumer for a minute, and none came."""
        return queue in self._owing and self._waited[queue] >= LOOKS

    async def _look(self, intake: Intake) -> None:
        name = intake.name
        owed = await self._owed(intake)
        waited = self._waited.get(name, 0)
        if intake.arrived or not owed:
            self._owing.discard(name)
        if intake.arrived:
            intake.arrived = False
            self._waited[name] = 0
            return
        if not owed:
            # What a new subscription is worth shows when events wait again.
            self._waited[name] = LOOKS if waited >= LOOKS else 0
            return
        self._owing.add(name)
        waited = self._waited[name] = waited + 1
        if waited == LOOKS:
            log.warning("%s holds %d events and none has come here for a minute: subscribing anew", name, owed)
            self._desk.hold.resubscribe(name)
        elif waited == 2 * LOOKS:
            self._give_up(
                f"{name} holds {owed} events and none has come here for two minutes, in spite of a new"
                " subscription: this consumer ends with status 1, for its supervisor to start another"
            )

    async def _owed(self, intake: Intake) -> int:
        if intake.arrived or intake.subscribed is None:
            return 0
        try:
            return await self._desk.hold.owed(intake.name)
        except BrokerError:  # the hold sees to its connection itself, and says so
            return 0
