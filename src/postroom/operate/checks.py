"""The checks: what the broker counts and the consumers tell, judged, each finding in a sentence."""

from collections.abc import Callable, Iterable

from msgspec import Struct, structs

from postroom.brokers.base import Broker, MissingQueue
from postroom.errors import BrokerError
from postroom.policy import checks
from postroom.policy.checks import Bounds, Judgement, Level, Seen, State
from postroom.policy.clear import backlog, pooled, time_to_clear
from postroom.queues import registry

from .names import check, known

PATIENCE = 2.0
"""Seconds in which the consumers must answer: their loops run no code of the application."""


BoundsOf = Callable[[str], Bounds]
"""A queue's."""


class Finding(Struct, frozen=True):
    """One state of one queue. ``what`` is the symptom, ``next`` the command that shows more or mends it."""

    level: Level
    state: State
    queue: str
    what: str
    next: str = ""


class Measure(Struct, frozen=True):
    """A figure for graphs. ``bounds``: warning and critical."""

    label: str
    value: float | None
    unit: str = ""
    bounds: tuple[float, float] | None = None


class Outcome(Struct):
    """All that a check found."""

    findings: list[Finding]
    measures: list[Measure]

    @property
    def level(self) -> Level:
        """The gravest."""
        level = Level.OK
        for finding in self.findings:
            level = checks.graver(level, finding.level)
        return level


def consumers(broker: Broker, queues: list[str], bounds_of: BoundsOf) -> Outcome:
    """Each queue is consumed."""
    outcome = Outcome([], [])
    for queue, seen in _look(broker, queues, outcome).items():
        outcome.findings.append(_told(queue, seen, checks.consumers(seen), bounds_of(queue)))
        outcome.measures.append(Measure(f"{queue} consumers", seen.consumers))
    return outcome


def backlogs(broker: Broker, queues: list[str], bounds_of: BoundsOf) -> Outcome:
    """What waits will be done soon, and not too many are dead."""
    outcome = Outcome([], [])
    looked = _look(broker, queues, outcome)
    for queue, seen in _ask(broker, looked, outcome, needed=lambda seen: seen.ready > 0).items():
        theirs = bounds_of(queue)
        outcome.findings.append(_told(queue, seen, checks.waiting(seen, theirs), theirs))
        letters = checks.letters(seen, theirs)
        if letters.level:
            outcome.findings.append(_told(queue, seen, letters, theirs))
        mean, slots = pooled(seen.reports)
        clear = time_to_clear(backlog(seen.ready, seen.reports), mean, slots)
        outcome.measures += [
            Measure(f"{queue} ready", seen.ready),
            Measure(f"{queue} clear", clear, "s", theirs.steady),
            Measure(f"{queue} dead", seen.dead),
        ]
    return outcome


def workers(broker: Broker, queues: list[str], bounds_of: BoundsOf) -> Outcome:
    """The consumers of each queue answer, and consume what there is."""
    outcome = Outcome([], [])
    looked = _look(broker, queues, outcome)
    for queue, seen in _ask(broker, looked, outcome, needed=lambda seen: seen.consumers > 0).items():
        theirs = bounds_of(queue)
        outcome.findings.append(_told(queue, seen, checks.working(seen, theirs), theirs))
        outcome.measures += [
            Measure(f"{queue} answering", len(seen.reports)),
            Measure(f"{queue} rate", sum(report.rate for report in seen.reports)),
        ]
    return outcome


CHECKS: dict[str, Callable[[Broker, list[str], BoundsOf], Outcome]] = {
    "consumers": consumers,
    "queues": backlogs,
    "worker": workers,
}


def declared_bounds(queue: str) -> Bounds:
    """Those that the queue's worker is assigned with."""
    assignment = registry.assignments().get(queue)
    return Bounds() if assignment is None else Bounds(assignment.options.burst, assignment.options.steady)


def without_broker(error: Exception, queues: list[str], level: Level, state: State) -> Outcome:
    """Nothing could be looked at."""
    names = queues or [queue.name for queue in registry.queues()]
    whose = f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''}" if names else "all queues"
    return Outcome([Finding(level, state, whose, str(error), "postroom doctor")], [])


def _look(broker: Broker, queues: list[str], outcome: Outcome) -> dict[str, Seen]:
    """The broker's figures. Raises BrokerError where it cannot be reached, UnknownQueue."""
    for queue in queues:
        check(broker, queue)
    broker.delayed()  # where the broker is away, one deadline passes and not one for each queue
    found = {}
    for queue in queues or list(registry.assignments()) or known(broker):
        try:
            figures = broker.figures(queue)
        except MissingQueue:
            start = f"postroom process_queue --queue {queue}"
            what = "it does not exist in the broker, so that nobody consumes it"
            outcome.findings.append(Finding(Level.CRITICAL, State.NO_QUEUE, queue, what, start))
        except BrokerError as error:
            outcome.findings.append(Finding(Level.UNKNOWN, State.NO_FIGURES, queue, str(error), "postroom doctor"))
        else:
            found[queue] = Seen(figures.ready, figures.consumers, figures.dead, figures.paused, [])
    if not found and not outcome.findings:
        what = "none is declared and the broker tells of none"
        outcome.findings.append(Finding(Level.UNKNOWN, State.CANNOT_CHECK, "no queues", what, "postroom queues"))
    return found


def _ask(
    broker: Broker, looked: dict[str, Seen], outcome: Outcome, needed: Callable[[Seen], bool]
) -> dict[str, Seen]:
    """The same with what the consumers tell. Where they cannot be asked, the queues for which that is needed become
    findings of their own."""
    expected = {queue: seen.consumers for queue, seen in looked.items() if seen.consumers}
    if not expected:
        return looked
    try:
        reports = broker.reports(expected, PATIENCE)
    except BrokerError as error:
        lost = [queue for queue, seen in looked.items() if seen.consumers and needed(seen)]
        outcome.findings += [
            Finding(Level.UNKNOWN, State.NO_ANSWER, queue, str(error), "postroom doctor") for queue in lost
        ]
        return {queue: seen for queue, seen in looked.items() if queue not in lost}
    return {
        queue: structs.replace(seen, reports=[report for report in reports if report.queue == queue])
        for queue, seen in looked.items()
    }


def _told(queue: str, seen: Seen, judgement: Judgement, bounds: Bounds) -> Finding:
    what, command = _sentence(queue, seen, judgement, bounds)
    return Finding(judgement.level, judgement.state, queue, what, command if judgement.level else "")


def _sentence(queue: str, seen: Seen, judgement: Judgement, bounds: Bounds) -> tuple[str, str]:
    waiting = _events(backlog(seen.ready, seen.reports))
    seconds = f"{judgement.seconds or 0:,.0f} s"
    match judgement.state:
        case State.PAUSED:
            return f"it is paused, {waiting} waiting", f"postroom resume {queue}"
        case State.NO_CONSUMERS:
            return f"nobody consumes it, {waiting} waiting", f"postroom process_queue --queue {queue}"
        case State.DEAD_LETTERS:
            return f"{_events(seen.dead, 'dead letter')}, {bounds.dead:,} allowed", f"postroom dead list {queue}"
        case State.BACKLOG_BURST | State.BACKLOG_STEADY:
            burst = judgement.state is State.BACKLOG_BURST
            limit = (bounds.burst if burst else bounds.steady)[judgement.level is Level.CRITICAL]
            when = "in a burst" if burst else f"not emptied for {bounds.steady_after:,.0f} s"
            more = f"postroom process_queue --queue {queue}"
            return f"{waiting} waiting need {seconds} to clear, above {limit:,.0f} s ({when})", more
        case State.STUCK:
            return f"{waiting} waiting, and no progress for {seconds}", f"postroom queues {queue}"
        case State.NOT_CONSUMING:
            sick = next(report for report in seen.reports if report.problem)
            return f"{sick.consumer} does not consume: {sick.problem}", f"postroom queues {queue}"
        case State.NO_ANSWER:
            told = f"{len(seen.reports)} of {_events(seen.consumers, 'consumer')} answered within {PATIENCE:g} s"
            return f"{waiting} waiting, and {told}", f"postroom check worker {queue}"
        case State.STARTING:
            return f"{waiting} waiting, and none is finished yet, after {seconds}", ""
    clear = f", clear in {seconds}" if judgement.seconds else ""
    return f"{waiting} waiting{clear}, {_events(seen.consumers, 'consumer')}", ""


def _events(number: int, noun: str = "event") -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def gravest_first(findings: Iterable[Finding]) -> list[Finding]:
    """In the order in which somebody should look at them."""
    return sorted(findings, key=lambda finding: -checks.GRAVITY.index(finding.level))
