"""What a case found: its figures, its goals, and whether they hold."""

import json
import sys
import time
from typing import Any

from msgspec import Struct


class Goal(Struct):
    """One figure and the bound it must keep."""

    figure: str
    value: float
    bound: float
    at_most: bool

    @property
    def held(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound


class Result:
    """A case's outcome, to be printed as one line of JSON."""

    def __init__(self, case: str) -> None:
        self.case = case
        self.figures: dict[str, Any] = {}
        self.goals: list[Goal] = []

    def note(self, **figures: Any) -> None:
        """Figures without a goal."""
        self.figures.update(figures)

    def at_most(self, figure: str, value: float, bound: float) -> None:
        """The figure must not be larger."""
        self.figures[figure] = round(value, 4)
        self.goals.append(Goal(figure, value, bound, True))

    def at_least(self, figure: str, value: float, bound: float) -> None:
        """The figure must not be smaller."""
        self.figures[figure] = round(value, 4)
        self.goals.append(Goal(figure, value, bound, False))

    @property
    def held(self) -> bool:
        """Every goal holds, and there is one."""
        return bool(self.goals) and all(goal.held for goal in self.goals)

    def line(self) -> str:
        """The result as one line of JSON."""
        goals = {
            goal.figure: {("at_most" if goal.at_most else "at_least"): goal.bound, "held": goal.held}
            for goal in self.goals
        }
        return json.dumps({"case": self.case, "figures": self.figures, "goals": goals, "held": self.held})


_started = time.monotonic()


def progress(text: str) -> None:
    """One line on stderr with the time since the start: a long case shows that it lives."""
    sys.stderr.write(f"[{time.monotonic() - _started:6.1f} s] {text}\n")
    sys.stderr.flush()
