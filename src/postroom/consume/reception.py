"""What the hold brings: new events, events with a past, and word of the connection."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from functools import partial

from postroom.brokers.base import Delivery
from postroom.policy.report import WorkerReport
from postroom.policy.verdict import Reschedule
from postroom.wire import headers as h

from .child import Child
from .desk import Desk, Place
from .health import Health
from .pacing import Pacing
from .team import Team

log = logging.getLogger("postroom")

SUSPECT_WAITS = 2.0


class Reception:
    """The hold's listener. ``stopping``: nothing is taken any more."""

    def __init__(self, loop: asyncio.AbstractEventLoop, children: Iterable[Child]) -> None:
        self.desk: Desk
        self.pacing: Pacing
        self.health: Health | None = None
        self.stopping = False
        self._children = children
        self._suspects: list[tuple[Delivery, Place]] = []
        self._loop = loop
        self._pumping = False

    def delivered(self, deliveries: list[Delivery]) -> None:
        """Events have been taken."""
        teams = set()
        place = None
        for delivery in deliveries:
            if place is None or place.intake.name != delivery.queue:
                place = self.desk.places[delivery.queue]
                place.intake.arrived = True
                teams.add(place.team)
            if self.stopping or place.intake.subscribed is None:
                # Only then: given back while an executor is replaced, it would come again at once, and again.
                self.desk.give_back([delivery])
            elif place.intake.order is not None:
                place.intake.order.arrived(delivery)
            elif delivery.returns or delivery.message.headers:
                self._with_past(delivery, place)
            else:
                self._new(delivery, place)
        self._choose_suspects()
        for team in teams:
            team.pump()

    def turn(self, delivery: Delivery) -> None:
        """An event of an ordered queue may be consumed now: no other of its key is before it."""
        place = self.desk.places[delivery.queue]
        self._with_past(delivery, place)
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        self._choose_suspects()
        for team in {place.team for place in self.desk.places.values()}:
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
        blameless = place.intake.after_outage or place.intake.outlasts
        returns = 0 if blameless else self.desk.memory.foreign_returns(delivery)
        if self.desk.order_of(delivery) is not None:
            self._with_past_in_order(delivery, place, returns)
        elif h.marked(delivery.message.headers):
            self._marked(delivery, place, returns)
        elif returns >= 2:
            self.desk.settlement.suspect(delivery)
        else:
            self._new(delivery, place)

    def _with_past_in_order(self, delivery: Delivery, place: Place, returns: int) -> None:
        """It cannot be marked by replacing it, which would cost it its place: it runs alone from its second return
        on, unless it has had an outcome here since. Where the broker keeps a note of each such run, that it was
        begun, one that comes back with the note is counted."""
        headers = delivery.message.headers
        if returns and 0 < h.number(headers, h.SUSPECT) <= delivery.returns:
            del headers[h.SUSPECT]
            self.desk.crashed(delivery, False, "went, and its consumer with it")
        elif h.marked(delivery.message.headers) or (returns >= 2 and h.HELD not in delivery.message.headers):
            self._suspects.append((delivery, place))
        else:
            self._new(delivery, place)

    def _marked(self, delivery: Delivery, place: Place, returns: int) -> None:
        """It runs alone, or is counted: it came back without an outcome although it ran alone."""
        if returns:
            self.desk.crashed(delivery, False, "went, and its consumer with it")
        else:
            self._suspects.append((delivery, place))

    def _choose_suspects(self) -> None:
        """One of them may run, alone; the others go back, marked.

        Held while another runs, they would share this consumer's fate and be counted for it: so the one begins when
        the others are back. Those come again spread, so that one after the other finds the quarantine idle.
        """
        chosen: dict[Team, tuple[Delivery, Place]] = {}
        for delivery, place in self._suspects:
            if place.team.quarantine_ready and place.team not in chosen:
                chosen[place.team] = (delivery, place)
            else:
                place.team.open_quarantine()
                place.intake.beware()
                self.pacing.adapt(place.team, place.intake)
                self._not_yet(delivery, random.uniform(0.1, SUSPECT_WAITS))
        self._suspects.clear()
        for delivery, place in chosen.values():
            place.team.reserved = True
            self.desk.settlement.after_these(partial(self._run_alone, delivery, place, place.intake.losses))

    def _not_yet(self, delivery: Delivery, delay: float) -> None:
        order = self.desk.order_of(delivery)
        if order is None:
            self.desk.settlement.suspect(delivery, delay)
        else:
            order.later(delivery, delay)

    def _run_alone(self, delivery: Delivery, place: Place, losses: int) -> None:
        place.team.reserved = False
        if losses != place.intake.losses:  # it is void, and comes again
            return
        if self.stopping:
            self.desk.give_back([delivery])
        elif self.desk.order_of(delivery) is not None:
            place.team.reserved = True
            self.desk.settlement.note_alone(delivery, partial(self._noted, delivery, place, losses))
        else:
            place.team.suspect(place.lane, [delivery])

    def _noted(self, delivery: Delivery, place: Place, losses: int) -> None:
        place.team.reserved = False
        if losses == place.intake.losses and not self.stopping:
            place.team.suspect(place.lane, [delivery])
        elif losses == place.intake.losses:
            self.desk.give_back([delivery])

    def lost(self, why: str) -> None:
        """Every delivery is void."""
        log.warning("the broker is gone (%s); reconnecting", why)
        for place in self.desk.places.values():
            self._void(place)
        for child in self._children:
            self.desk.void(child)

    def voided(self, queue: str, why: str, outlasted: bool) -> None:
        """Every delivery of this queue is void."""
        place = self.desk.places[queue]
        place.intake.outlasts = place.intake.outlasts or outlasted
        self._void(place)
        for child in self._children:
            self.desk.void(child, queue)

    def _void(self, place: Place) -> None:
        place.intake.losses += 1
        place.intake.after_outage = True
        if place.intake.order is not None:
            for delivery in place.intake.order.waiting():
                if h.HELD in delivery.message.headers:
                    self.desk.memory.remember(delivery, Reschedule(delivery.message.headers, 0.0))
        waiting = place.intake.clear()
        if place.intake.order is not None:
            place.intake.order.reset()
        suspects = place.team.suspects
        waiting += [delivery for lane, group in suspects if lane == place.lane for delivery in group]
        kept = [entry for entry in suspects if entry[0] != place.lane]
        suspects.clear()
        suspects.extend(kept)
        for delivery in waiting:
            self.desk.memory.returned(delivery)

    def regained(self) -> None:
        """The broker is back."""
        log.warning("the broker is back")

    def paused(self, queue: str) -> None:
        """What is not begun goes back."""
        log.warning("%s is paused; to go on: postroom resume %s", queue, queue)
        self.desk.give_back(self.desk.places[queue].intake.clear())

    def recalled(self, queue: str, which: Callable[[Delivery], bool]) -> None:
        """Another consumer is to have these keys."""
        self.desk.give_back(self.desk.places[queue].intake.recall(which))

    def reports(self) -> list[WorkerReport]:
        """How it goes."""
        return [] if self.health is None else self.health.reports()

    def resumed(self, queue: str) -> None:
        """Deliveries begin again by themselves."""
        log.warning("%s is resumed", queue)
