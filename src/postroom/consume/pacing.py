"""How much a consumer holds of each queue: about a second's work, adapted as that changes."""

from postroom.policy.pace import HELD_SECONDS

from .desk import Desk
from .intake import Intake
from .team import Team


class Pacing:
    """``stopped``: nothing is taken any more."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.stopped = False

    def begin(self, team: Team) -> None:
        """The team can take events."""
        for intake in team.intakes:
            self.adapt(team, intake)

    def end(self, team: Team) -> None:
        """It cannot: what waits goes back, for others to take."""
        for intake in team.intakes:
            if intake.subscribed is not None:
                self._desk.hold.unsubscribe(intake.name)
                intake.subscribed = None
            self._desk.give_back(intake.clear())

    def adapt(self, team: Team, intake: Intake) -> None:
        """Adapts how many events are held to the time they take; small changes are not worth a request."""
        if not team.able or self.stopped:
            return
        wanted, had = intake.prefetch(team.size), intake.subscribed
        ordered = intake.order is not None
        if had is None or wanted >= 2 * had or wanted <= had // 2 or (ordered and wanted != had):
            intake.subscribed = wanted
            self._desk.hold.subscribe(intake.name, wanted, ordered)
            if not intake.wary:  # what goes back counts as returned, and would make more suspects
                self.give_back_excess(team, intake)

    def give_back_excess(self, team: Team, intake: Intake) -> None:
        """What waits beyond what is to be held goes back, for others to take."""
        room = (intake.subscribed or 0) - team.load(intake)
        self._desk.give_back(intake.excess(max(0, room)))

    def relieve(self, team: Team) -> None:
        """Where nothing has moved for as long as what is held was to last, others may have what waits here.

        If there are no others it comes straight back: so each time twice as long is waited."""
        for lane, intake in enumerate(team.intakes):
            seconds = 0.0 if intake.is_batch else team.stalled(lane)
            if seconds < HELD_SECONDS:
                intake.stall = HELD_SECONDS
            elif seconds > intake.stall:
                intake.stall = 2 * seconds
                intake.mean = max(intake.mean or 0.0, seconds)
                self.adapt(team, intake)
                self.give_back_excess(team, intake)
                for child in team.members:
                    if child.ready and child.load[lane] > intake.declaration.concurrency:
                        child.recall(lane)
