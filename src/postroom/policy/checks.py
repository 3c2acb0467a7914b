"""What the checks find: from figures to states, as Nagios knows them. No clock, no broker."""

import enum
from collections.abc import Sequence

from msgspec import Struct

from .clear import backlog, pooled, time_to_clear
from .report import WorkerReport


class Level(enum.IntEnum):
    """A plugin's exit status."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


GRAVITY = (Level.OK, Level.WARNING, Level.UNKNOWN, Level.CRITICAL)
"""From the lightest: what is not known may be bad, what is critical is."""


class State(enum.StrEnum):
    """All that a check can find. ``docs/operations.md`` has an entry for each."""

    FINE = "fine"
    STARTING = "starting"
    PAUSED = "paused"
    DEAD_LETTERS = "dead-letters"
    BACKLOG_BURST = "backlog-burst"
    BACKLOG_STEADY = "backlog-steady"
    STUCK = "stuck"
    NO_CONSUMERS = "no-consumers"
    NO_QUEUE = "no-queue"
    NOT_CONSUMING = "not-consuming"
    NO_ANSWER = "no-answer"
    NO_FIGURES = "no-figures"
    NO_BROKER = "no-broker"
    CANNOT_CHECK = "cannot-check"
    OLD_FILE = "old-file"


class Bounds(Struct, frozen=True):
    """``burst`` and ``steady``: seconds to clear from which on it is a warning, and critical; the first where the
    queue was empty within ``steady_after`` seconds. ``stuck``: seconds without progress although events wait."""

    burst: tuple[float, float] = (120.0, 240.0)
    steady: tuple[float, float] = (30.0, 60.0)
    steady_after: float = 300.0
    stuck: float = 180.0
    dead: int = 0


class Seen(Struct, frozen=True):
    """A queue as the broker counts it, and what its consumers tell."""

    ready: int
    consumers: int
    dead: int
    paused: bool
    reports: Sequence[WorkerReport]


class Judgement(Struct, frozen=True):
    """``seconds``: to clear, or without progress, whatever the state is about."""

    level: Level
    state: State
    seconds: float | None = None


def graver(one: Level, other: Level) -> Level:
    """The graver of two."""
    return max(one, other, key=GRAVITY.index)


def consumers(seen: Seen) -> Judgement:
    """Whether somebody consumes."""
    if seen.paused:  # on RabbitMQ nobody is subscribed then
        return Judgement(Level.WARNING, State.PAUSED)
    if seen.consumers == 0:
        return Judgement(Level.CRITICAL, State.NO_CONSUMERS)
    return Judgement(Level.OK, State.FINE)


def letters(seen: Seen, bounds: Bounds) -> Judgement:
    """Whether there are too many dead letters."""
    level, state = (Level.WARNING, State.DEAD_LETTERS) if seen.dead > bounds.dead else (Level.OK, State.FINE)
    return Judgement(level, state)


def waiting(seen: Seen, bounds: Bounds) -> Judgement:
    """Whether what waits will be done soon."""
    events = backlog(seen.ready, seen.reports)
    if seen.paused:
        return Judgement(Level.WARNING if events else Level.OK, State.PAUSED)
    if events == 0:
        return Judgement(Level.OK, State.FINE, 0.0)
    if seen.consumers == 0:
        return Judgement(Level.CRITICAL, State.NO_CONSUMERS)
    if not seen.reports:
        return Judgement(Level.UNKNOWN, State.NO_ANSWER)
    mean, slots = pooled(seen.reports)
    still = motionless(seen.reports)
    # A queue whose events take minutes each has moved when one of them was due.
    if still > max(bounds.stuck, 3 * (mean or 0.0)):
        return Judgement(Level.CRITICAL, State.STUCK, still)
    seconds = time_to_clear(events, mean, slots)
    silent = len(seen.reports) < seen.consumers
    if seconds is None:
        # Nothing was finished yet, and the time for that is not over.
        return Judgement(Level.UNKNOWN, State.NO_ANSWER) if silent else Judgement(Level.OK, State.STARTING, still)
    state, (warn, critical) = _bound(seen.reports, bounds)
    if seconds > critical:
        return Judgement(Level.CRITICAL, state, seconds)
    if seconds > warn:
        return Judgement(Level.WARNING, state, seconds)
    if silent:
        return Judgement(Level.UNKNOWN, State.NO_ANSWER, seconds)
    return Judgement(Level.OK, State.FINE, seconds)


def working(seen: Seen, bounds: Bounds) -> Judgement:
    """Whether the consumers consume what they should. One that is idle, as nothing waits, does."""
    if seen.paused:
        return Judgement(Level.WARNING, State.PAUSED)
    if seen.consumers == 0:
        return Judgement(Level.CRITICAL, State.NO_CONSUMERS)
    if any(report.problem for report in seen.reports):
        return Judgement(Level.CRITICAL, State.NOT_CONSUMING)
    if len(seen.reports) < seen.consumers:
        return Judgement(Level.CRITICAL, State.NO_ANSWER)
    mean, _ = pooled(seen.reports)
    still = motionless(seen.reports)
    if backlog(seen.ready, seen.reports) and still > max(bounds.stuck, 3 * (mean or 0.0)):
        return Judgement(Level.CRITICAL, State.STUCK, still)
    return Judgement(Level.OK, State.FINE)


def motionless(reports: Sequence[WorkerReport]) -> float:
    """Seconds since any of these consumers has finished an event, or found that none waits; where none ever has,
    since the first of them began."""
    moved = [age for report in reports for age in (report.quiet, report.emptied) if age is not None]
    return min(moved) if moved else max((report.up for report in reports), default=0.0)


def _bound(reports: Sequence[WorkerReport], bounds: Bounds) -> tuple[State, tuple[float, float]]:
    emptied = [report.emptied for report in reports if report.emptied is not None]
    since = min(emptied) if emptied else max(report.up for report in reports)
    if since > bounds.steady_after:
        return State.BACKLOG_STEADY, bounds.steady
    return State.BACKLOG_BURST, bounds.burst
