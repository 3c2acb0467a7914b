"""The teams of a consumer: those that work, those that are to take over, and those that finish."""

from collections.abc import Iterator

from postroom.execute.protocol import QueueDeclaration

from .child import Child
from .intake import Intake
from .team import Staff, Team


class Roster:
    """``working`` take events, ``fresh`` have been formed and do not yet, ``leaving`` finish what they have."""

    def __init__(self) -> None:
        self.working: list[Team] = []
        self.fresh: list[Team] = []
        self.leaving: list[Team] = []

    def __iter__(self) -> Iterator[Team]:
        return iter([*self.working, *self.fresh, *self.leaving])

    def team_of(self, child: Child) -> Team | None:
        """The team that the executor belongs to."""
        return next((team for team in self if child in team), None)


def formed(staff: Staff, queues: list[QueueDeclaration]) -> list[Team]:
    """Teams for these queues: those of one thread share an executor, each other queue has its own, or several."""
    small = [q for q in queues if q.processes == 1 and q.concurrency == 1 and q.kind != "async"]
    groups = [([queue], queue.processes) for queue in queues if queue not in small]
    if small:
        groups.insert(0, (small, 1))
    return [Team(staff, [Intake(queue) for queue in members], size) for members, size in groups]
