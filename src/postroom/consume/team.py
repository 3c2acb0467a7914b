"""The executors that serve one group of queues: kept alive, fed, recycled, and replaced when they die."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from typing import Protocol

from postroom.brokers.base import Delivery
from postroom.execute.protocol import QueueDeclaration
from postroom.policy.death import blame, how_it_ended
from postroom.policy.restart import restart_delay

from .child import Child
from .intake import Intake

log = logging.getLogger("postroom")

QUARANTINE_LINGERS = 30.0


class Staff(Protocol):
    """What a team needs of its consumer."""

    loop: asyncio.AbstractEventLoop
    grace: float

    def spawn(self) -> Child:
        """A new executor."""

    def acknowledge(self, child: Child, seqs: list[int]) -> None:
        """These had been finished."""

    def crashed(self, delivery: Delivery, void: bool, how: str) -> None:
        """This event killed its executor."""

    def handed_down(self) -> None:
        """An executor has been handed events."""

    def team_ready(self, team: "Team") -> None:
        """Its first executor is ready, or again after none was."""

    def team_unable(self, team: "Team") -> None:
        """Its executors cannot start: it takes no events until one does."""


class Team:
    """``size`` executors for the queues of ``intakes``; and, while there are suspects, one more, the quarantine,
    where one group of them at a time runs and nothing else."""

    def __init__(self, staff: Staff, intakes: list[Intake], size: int) -> None:
        self.intakes = intakes
        self.size = size
        self.members: list[Child] = []
        self.quarantine: Child | None = None
        self.suspects: deque[tuple[int, list[Delivery]]] = deque()
        self.reserved = False  # a suspect is about to be handed in
        self._staff = staff
        self._retiring: list[Child] = []
        self._failures = 0
        self._last_reason = ""
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.stopping = False

    @property
    def declarations(self) -> list[QueueDeclaration]:
        """Its queues, in the order of the lanes."""
        return [intake.declaration for intake in self.intakes]

    @property
    def able(self) -> bool:
        """An executor is ready."""
        return any(child.ready and not child.stopping for child in self.members + self._retiring)

    def start(self, first: Child | None = None) -> None:
        """Starts its executors; ``first`` is one that has declared already."""
        if self.stopping:
            return
        if first is not None:
            self.members.append(first)
        while len(self.members) < self.size:
            self.members.append(self._staff.spawn())

    def load(self, intake: Intake) -> int:
        """How many events of the intake its executors have."""
        lane = self.intakes.index(intake)
        return sum(child.load[lane] for child in self.members + self._retiring if child.load)

    def stalled(self, lane: int) -> float:
        """For how many seconds every slot of the lane has been busy with one event; 0 if one is free."""
        busy = [seconds for child in self.members if child.ready for its, _, seconds in child.busy() if its == lane]
        return min(busy) if len(busy) >= self.declarations[lane].concurrency * self.size else 0.0

    def __contains__(self, child: Child) -> bool:
        return child is self.quarantine or child in self.members or child in self._retiring

    def everybody(self) -> list[Child]:
        """All its executors."""
        return [*self.members, *self._retiring, *([] if self.quarantine is None else [self.quarantine])]

    def leave(self) -> None:
        """Takes nothing more; its executors finish what they have in hand, and end."""
        self.stopping = True
        for child in self.everybody():
            self._end(child)

    def declared(self, child: Child) -> None:
        """A child of this team has imported the application."""
        child.serve(self.declarations)

    def became_ready(self, child: Child) -> None:
        """A child of this team can take events."""
        was_able = self.able
        child.ready = True
        self._failures = 0
        self._last_reason = ""
        if child is not self.quarantine:
            for old in self._retiring:
                self._end(old)
        if child is not self.quarantine and not was_able:
            self._staff.team_ready(self)
        self.pump()

    def start_failed(self, child: Child, reason: str) -> None:
        """A child could not start: says why, once, and ends it."""
        self._end(child)
        reason = reason.strip()
        if reason != self._last_reason:
            self._last_reason = reason
            names = ", ".join(intake.name for intake in self.intakes)
            log.error("an executor for %s cannot start; it is tried again, with back-off:\n%s", names, reason)

    # Feeding ----------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Hands down what waits, as far as there is room."""
        if self.stopping:
            return
        for lane, intake in enumerate(self.intakes):
            if intake.waiting:
                if intake.is_batch:
                    self._pump_batches(lane, intake)
                else:
                    self._pump_singles(lane, intake)
        self._pump_suspects()

    def _pump_singles(self, lane: int, intake: Intake) -> None:
        while intake.waiting:
            child = self._freest(lane)
            room = intake.room(child.load[lane]) if child is not None else 0
            if child is None or room <= 0:
                return
            if len(self.members) > 1:
                # Spread what little there is: no executor takes all while another is idle.
                room = min(room, max(1, -(-len(intake.waiting) // len(self.members))))
            child.work(lane, intake.take(room), batch=False)
            self._staff.handed_down()

    def _pump_batches(self, lane: int, intake: Intake) -> None:
        while intake.batch_due():
            child = self._freest(lane)
            if child is None or not intake.room(child.load[lane]):
                return
            child.work(lane, intake.take(intake.declaration.batch_size), batch=True)
            self._staff.handed_down()
        if intake.waiting:
            self._at(f"batch {lane}", intake.due_in(), self.pump)

    def _freest(self, lane: int) -> Child | None:
        able = [child for child in self.members + self._retiring if child.ready and not child.stopping]
        return min(able, key=lambda child: child.load[lane], default=None)

    def _at(self, name: str, delay: float, act: Callable[[], None]) -> None:
        """Acts in ``delay`` seconds; one timer a name."""
        if name not in self._timers:

            def due() -> None:
                del self._timers[name]
                act()

            self._timers[name] = self._staff.loop.call_later(max(0.0, delay), due)

    def _end(self, child: Child) -> None:
        """Lets it finish what it has in hand; but no thread of the application's may keep it longer."""
        child.stop()

        def look() -> None:
            if child in self and child.outstanding:
                self._staff.loop.call_later(self._staff.grace, look)
            elif child in self:
                child.kill()

        self._staff.loop.call_later(self._staff.grace, look)

    # Suspects ---------------------------------------------------------------------------------------

    def suspect(self, lane: int, group: list[Delivery], first: bool = False) -> None:
        """This group runs again with nothing else in hand."""
        if first:
            self.suspects.appendleft((lane, group))
        else:
            self.suspects.append((lane, group))
        self.open_quarantine()
        self._pump_suspects()

    @property
    def quarantine_ready(self) -> bool:
        """A suspect that is accepted now runs at once. None is held behind another: that one may take this
        consumer with it, and the other would be counted too."""
        child = self.quarantine
        idle = child is not None and child.ready and not child.stopping and not child.outstanding
        return idle and not self.suspects and not self.reserved

    def open_quarantine(self) -> None:
        """Gets ready for suspects."""
        if self.quarantine is None and "quarantine" not in self._timers and not self.stopping:
            self.quarantine = self._staff.spawn()

    def _pump_suspects(self) -> None:
        child = self.quarantine
        if child is None or not child.ready or child.stopping or child.outstanding:
            return
        if self.suspects:
            lane, group = self.suspects.popleft()
            child.work(lane, group, batch=self.intakes[lane].is_batch)
            self._staff.handed_down()
        else:
            self._at("close quarantine", QUARANTINE_LINGERS, self._close_quarantine)

    def _close_quarantine(self) -> None:
        if self.quarantine is not None and not self.suspects and not self.quarantine.outstanding:
            self._end(self.quarantine)

    # Deaths -----------------------------------------------------------------------------------------

    def died(self, child: Child, status: int) -> None:
        """One of its executors has ended: settles what it had finished, blames, and replaces it."""
        how = how_it_ended(status)
        if child.overdue:
            how = "was killed at its hard time limit"
        idle = child.ready and not child.stopping and not child.done and not child.in_hand()
        if child.page is not None:
            self._take_stock(child, how)
        was_quarantine = child is self.quarantine
        if was_quarantine:
            self.quarantine = None
        elif child in self.members:
            self.members.remove(child)
        elif child in self._retiring:
            self._retiring.remove(child)
        if self.stopping:
            return
        if not child.ready:
            if not child.stopping:
                self.start_failed(child, f"it {how} while it started")
            self._failures += 1
            if not self.able:
                self._staff.team_unable(self)
        elif not child.stopping:
            names = ", ".join(intake.name for intake in self.intakes)
            if was_quarantine:
                log.warning("the executor where suspects of %s run alone %s", names, how)
            else:
                log.warning("an executor of %s %s; another is started", names, how)
            # Of no event: whatever it was, it may well kill the next one as soon as it is ready.
            self._failures += idle
        delay = restart_delay(self._failures, random.random()) if self._failures else 0.0
        if was_quarantine:
            if self.suspects:
                self._at("quarantine", delay, self._reopen_quarantine)
        elif len(self.members) < self.size:
            self._at(f"start {len(self.members)}", delay, self.start)
        self.pump()

    def _reopen_quarantine(self) -> None:
        if self.suspects:
            self.open_quarantine()

    def _take_stock(self, child: Child, how: str) -> None:
        finished = child.finished()
        if finished:
            self._staff.acknowledge(child, finished)
        in_hand = child.in_hand()
        verdict = blame([], []) if child.stopping and not child.overdue else blame(in_hand, list(child.overdue))
        for seq in verdict.guilty:
            entry = child.settled(seq)
            if entry is not None:
                self._staff.crashed(entry[1], entry[2], how)
        for group in reversed(verdict.groups):
            entries = [entry for seq in group if (entry := child.settled(seq)) is not None]
            held = [delivery for _, delivery, void in entries if not void]
            if held:
                self.suspect(entries[0][0], held, first=True)
        self._untouched(child)

    def _untouched(self, child: Child) -> None:
        """What it had not begun, or was not to blame for, waits again."""
        for lane, intake in enumerate(self.intakes):
            seqs = [seq for seq, (its, _) in child.outstanding.items() if its == lane]
            entries = [entry for seq in sorted(seqs) if (entry := child.settled(seq)) is not None]
            back = [delivery for _, delivery, void in entries if not void]
            if back and child is self.quarantine:
                for delivery in reversed(back):
                    self.suspects.appendleft((lane, [delivery]))
            elif back:
                intake.put_back(back)

    # Recycling --------------------------------------------------------------------------------------

    def recycle_if_due(self, child: Child) -> None:
        """Replaces an executor that has consumed or grown enough. It works on until the new one is ready."""
        if self.stopping or child not in self.members or not child.ready:
            return
        for declaration in self.declarations:
            events, memory = declaration.recycle_events, declaration.recycle_memory
            if (events is not None and child.done >= events) or (memory is not None and child.memory >= memory):
                self.members.remove(child)
                self._retiring.append(child)
                self.start()
                return
