"""What the hold brings: new events, events with a past, and word of the connection."""

import logging
import random
from collections.abc import Iterable

from postroom.brokers.base import Delivery

from .child import Child
from .desk import Desk, Place, marked

log = logging.getLogger("postroom")

SUSPECT_WAITS = 2.0


class Reception:
    """The hold's listener. ``stopping``: nothing is taken any more."""

    def __init__(self, children: Iterable[Child]) -> None:
        self.desk: Desk
        self.stopping = False
        self._children = children

    def delivered(self, deliveries: list[Delivery]) -> None:
        """Events have been taken."""
        teams = set()
        for delivery in deliveries:
            place = self.desk.places[delivery.queue]
            if self.stopping or place.intake.subscribed is None:
                # Only then: given back while an executor is replaced, it would come again at once, and again.
                self.desk.give_back([delivery])
            elif delivery.returns or delivery.message.headers:
                self._with_past(delivery, place)
            else:
                self._new(delivery, place)
            teams.add(place.team)
        for team in teams:
            team.pump()

    def _new(self, delivery: Delivery, place: Place) -> None:
        most = place.intake.declaration.max_bytes
        place.intake.after_outage = place.intake.after_outage and delivery.returns > 0
        if len(delivery.message.body) > most:
            self.desk.settlement.too_large(delivery, most)
        else:
            place.intake.add(delivery)

    def _with_past(self, delivery: Delivery, place: Place) -> None:
        """An event that may have come back, failed, or be suspected."""
        if delivery.returns:
            verdict = self.desk.memory.recall(delivery)
            if verdict is not None:
                self.desk.settlement.carry_out(delivery, verdict, False)
                return
            if self.desk.attach(delivery):
                return
        # After an outage everything that was held comes back, and nobody is to blame for that.
        returns = 0 if place.intake.after_outage else self.desk.memory.foreign_returns(delivery)
        if marked(delivery):
            self._marked(delivery, place, returns)
        elif returns >= 2:
            self.desk.settlement.suspect(delivery)
        else:
            self._new(delivery, place)

    def _marked(self, delivery: Delivery, place: Place, returns: int) -> None:
        """It runs alone, or is counted: it came back without an outcome although it ran alone."""
        if returns:
            self.desk.crashed(delivery, False, "went, and its consumer with it")
        elif place.team.quarantine_ready:
            place.team.suspect(place.lane, [delivery])
        else:
            # Held while nothing is ready to run it, it would share the fate of this consumer. Many that wait come
            # back spread, so that one after the other finds the quarantine idle.
            place.team.open_quarantine()
            self.desk.settlement.suspect(delivery, random.uniform(0.1, SUSPECT_WAITS))

    def lost(self, why: str) -> None:
        """Every delivery is void."""
        log.warning("the broker is gone (%s); reconnecting", why)
        for place in self.desk.places.values():
            place.intake.after_outage = True
            for delivery in place.intake.clear():
                self.desk.memory.returned(delivery)
            for _, group in place.team.suspects:
                for delivery in group:
                    self.desk.memory.returned(delivery)
            place.team.suspects.clear()
        for child in self._children:
            self.desk.void(child)

    def regained(self) -> None:
        """The broker is back."""
        log.warning("the broker is back")

    def paused(self, queue: str) -> None:
        """What is not begun goes back."""
        log.warning("%s is paused; to go on: postroom resume %s", queue, queue)
        self.desk.give_back(self.desk.places[queue].intake.clear())

    def resumed(self, queue: str) -> None:
        """Deliveries begin again by themselves."""
        log.warning("%s is resumed", queue)
