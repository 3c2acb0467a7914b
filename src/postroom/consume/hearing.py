"""What executors say of events: done, failed, not begun."""

import logging
import sys

from postroom.brokers.base import Delivery
from postroom.execute.protocol import Done, Failed, GaveBack, Replied

from .child import Child
from .desk import Desk
from .pacing import Pacing
from .team import Team

log = logging.getLogger("postroom")


class Hearing:
    """``each``: a line on stdout for every event. In the log there is one at the level debug."""

    def __init__(self, desk: Desk, pacing: Pacing, each: bool) -> None:
        self._desk = desk
        self._pacing = pacing
        self._each = each
        self._debug = log.isEnabledFor(logging.DEBUG)
        self._heard = self._each or self._debug

    def done(self, team: Team, child: Child, message: Done) -> None:
        """These are consumed."""
        if self._heard:
            self._tell(child, message.seqs, f" {1000 * message.seconds / len(message.seqs):.3g} ms")
        self._desk.acknowledge(child, message.seqs)
        child.memory = message.memory
        self._went_on(team, child, message.lane, message.seconds, len(message.seqs))

    def failed(self, team: Team, child: Child, message: Failed) -> None:
        """This one is not."""
        self._desk.failed(child, message)
        self._went_on(team, child, message.lane, message.seconds, 1)

    def replied(self, team: Team, child: Child, message: Replied) -> None:
        """This request is consumed."""
        if self._heard:
            self._tell(child, [message.seq], f" {1000 * message.seconds:.3g} ms")
        self._desk.replied(child, message)
        self._went_on(team, child, message.lane, message.seconds, 1)

    def finished(self, child: Child) -> None:
        """Reads off the page what is finished behind an event that takes long, and so not yet reported."""
        seqs = child.finished()
        if seqs:
            if self._heard:
                self._tell(child, seqs, "")
            self._desk.acknowledge(child, seqs)

    def gave_back(self, team: Team, child: Child, message: GaveBack) -> None:
        """Not begun: to the others of its team, or back to the queue."""
        back: dict[int, list[Delivery]] = {}
        for seq in message.seqs:
            entry = child.settled(seq)
            if entry is not None and not entry[2]:
                back.setdefault(entry[0], []).append(entry[1])
        for deliveries in back.values():
            if self._pacing.stopped:
                self._desk.give_back(deliveries)
            else:
                place = self._desk.places[deliveries[0].queue]  # another team's by now, after a reload
                place.intake.put_back(deliveries)
                self._pacing.give_back_excess(place.team, place.intake)
                place.team.pump()
        team.pump()

    def _went_on(self, team: Team, child: Child, lane: int, seconds: float, events: int) -> None:
        intake = team.intakes[lane]
        child.done += events
        intake.measured(seconds, events)
        team.recycle_if_due(child)
        self._pacing.adapt(team, intake)
        team.pump()

    def _tell(self, child: Child, seqs: list[int], took: str) -> None:
        done = [entry[1] for seq in seqs if (entry := child.outstanding.get(seq)) is not None]
        if self._each:
            sys.stdout.write("".join(f"{each.queue} {each.message.id} ok{took}\n" for each in done))
            sys.stdout.flush()
        if self._debug:
            for each in done:
                fields = {"queue": each.queue, "event": each.message.id}
                log.debug("%s %s ok%s", each.queue, each.message.id, took, extra=fields)
