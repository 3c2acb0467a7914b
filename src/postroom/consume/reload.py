"""The application's code loaded anew, by fresh executors, while the connection and what is in hand stay.

A first fresh executor tells what is declared now. When there is one ready for every queue, the fresh teams take
over: what waits is theirs, and the old ones finish what they have in hand. Where the new code cannot start, that is
told, and the old code goes on.
"""

import logging
import time
from typing import Protocol

from postroom.errors import DeclarationError, PostroomError
from postroom.execute.protocol import Declared, QueueDeclaration

from .child import Child
from .desk import Desk
from .roster import Roster, formed
from .team import Staff, Team

log = logging.getLogger("postroom")


class Employer(Staff, Protocol):
    """What a reload needs of its consumer."""

    def place(self, teams: list[Team]) -> None:
        """Gives their queues their places at the desk."""

    def queues_of(self, declared: Declared) -> list[QueueDeclaration]:
        """The declarations that this consumer serves. Raises PostroomError."""

    def taken_over(self, queues: list[QueueDeclaration]) -> None:
        """Fresh teams serve these now."""


class Reload:
    """At most one at a time: another save begins it again."""

    def __init__(self, employer: Employer, roster: Roster, desk: Desk) -> None:
        self._employer = employer
        self._roster = roster
        self._desk = desk
        self._first: Child | None = None
        self._began = 0.0

    def begin(self) -> None:
        """Starts the first fresh executor."""
        self._abandon()
        self._began = time.monotonic()
        self._first = self._employer.spawn()

    def owns(self, child: Child) -> bool:
        """The executor is a fresh one, of teams that have not taken over."""
        return child is self._first or any(child in team for team in self._roster.fresh)

    def declared(self, child: Child, message: Declared) -> None:
        """A fresh executor has imported the application."""
        if child is not self._first:
            for team in self._roster.fresh:
                if child in team:
                    team.declared(child)
            return
        self._first = None
        try:
            queues = self._employer.queues_of(message)
            self._refuse_another_order(queues)
        except PostroomError as error:
            child.kill()
            self.failed(str(error))
            return
        fresh = self._roster.fresh = formed(self._employer, queues)
        fresh[0].start(child)
        fresh[0].declared(child)
        for team in fresh[1:]:
            team.start()

    def ready(self) -> None:
        """An executor of a fresh team can take events. When each team has one, they take over."""
        fresh = self._roster.fresh
        if not all(team.able for team in fresh):
            return
        old, self._roster.working, self._roster.fresh = self._roster.working, fresh, []
        self._roster.leaving += old
        places = self._desk.places
        intakes = {intake.name: intake for team in fresh for intake in team.intakes}
        for name, its in places.items():
            if name in intakes:
                intakes[name].succeed(its.intake)
            else:  # nobody works on it any more
                self._desk.hold.unsubscribe(name)
                its.intake.subscribed = None
                self._desk.give_back(its.intake.clear())
        self._employer.place(fresh)
        for team in old:
            team.leave()
            self.hand_on(team)
        for team in fresh:
            self._employer.team_ready(team)
            team.pump()
        declarations = [declaration for team in fresh for declaration in team.declarations]
        log.info(
            "loaded anew in %.1f s: consuming %s",
            time.monotonic() - self._began,
            ", ".join(sorted(declaration.name for declaration in declarations)),
        )
        self._employer.taken_over(declarations)

    def hand_on(self, team: Team) -> None:
        """What an old team still has waiting, or suspects, goes to who works on the queue now."""
        for lane, intake in enumerate(team.intakes):
            now = self._desk.places[intake.name]
            if now.team is team:
                self._desk.give_back(intake.clear())
            elif intake.waiting:
                now.intake.put_back(intake.clear())
                now.team.pump()
            for its, group in list(team.suspects):
                if its == lane and now.team is not team:
                    team.suspects.remove((its, group))
                    now.team.suspect(now.lane, group)

    def _refuse_another_order(self, queues: list[QueueDeclaration]) -> None:
        for queue in queues:
            before = self._desk.places.get(queue.name)
            if before is not None and before.intake.declaration.ordered != queue.ordered:
                raise DeclarationError(f"order_by of the queue {queue.name!r} has changed: start process_queue again")

    def failed(self, reason: str) -> None:
        """The new code cannot start."""
        log.error("the new code cannot start, and the code before goes on until it is mended:\n%s", reason.strip())
        self._abandon()

    def _abandon(self) -> None:
        children = [self._first, *(child for team in self._roster.fresh for child in team.everybody())]
        self._first, self._roster.fresh = None, []
        for child in children:
            if child is not None:
                child.kill()
