"""What the checks make of the figures: burst, steady, stuck, just started, silent, deaf, nobody."""

from typing import Any

import pytest

from postroom.policy import checks
from postroom.policy.checks import Bounds, Level, Seen, State
from postroom.policy.clear import backlog, pooled
from postroom.policy.report import WorkerReport
from postroom.policy.tally import Tally


def told(**other: Any) -> WorkerReport:
    """A consumer that has worked for an hour, an event in 0.1 s, the last a second ago, on what came 10 s ago."""
    usual: dict[str, Any] = {
        "consumer": "c",
        "queue": "q",
        "up": 3600.0,
        "slots": 1,
        "mean": 0.1,
        "rate": 10.0,
        "done": 1000,
        "in_hand": 1,
        "quiet": 1.0,
        "emptied": 10.0,
    }
    return WorkerReport(**{**usual, **other})


def seen(ready: int = 0, *reports: WorkerReport, **other: Any) -> Seen:
    usual: dict[str, Any] = {"consumers": len(reports), "dead": 0, "paused": False}
    return Seen(ready=ready, reports=reports, **{**usual, **other})


LONG_AGO = {"emptied": 301.0}
NEW: dict[str, Any] = {"up": 2.0, "mean": None, "quiet": None, "emptied": None, "done": 0}


@pytest.mark.parametrize(
    ("figures", "level", "state"),
    [
        pytest.param(seen(0, told()), Level.OK, State.FINE, id="empty"),
        pytest.param(seen(0), Level.OK, State.FINE, id="empty and nobody there: the other check tells"),
        pytest.param(seen(1200, told()), Level.OK, State.FINE, id="a burst, just bearable"),
        pytest.param(seen(1210, told()), Level.WARNING, State.BACKLOG_BURST, id="a burst"),
        pytest.param(seen(2410, told()), Level.CRITICAL, State.BACKLOG_BURST, id="a large burst"),
        pytest.param(seen(290, told(**LONG_AGO)), Level.OK, State.FINE, id="steady, bearable"),
        pytest.param(seen(310, told(**LONG_AGO)), Level.WARNING, State.BACKLOG_STEADY, id="steady"),
        pytest.param(seen(610, told(**LONG_AGO)), Level.CRITICAL, State.BACKLOG_STEADY, id="steady, and too long"),
        pytest.param(seen(310, told(emptied=None)), Level.WARNING, State.BACKLOG_STEADY, id="never empty"),
        pytest.param(seen(310, told(emptied=None, up=60.0)), Level.OK, State.FINE, id="not empty since its start"),
        pytest.param(seen(310, told(**LONG_AGO), told()), Level.OK, State.FINE, id="one of two saw it empty"),
        pytest.param(seen(610, told(slots=4, **LONG_AGO)), Level.OK, State.FINE, id="four side by side"),
        pytest.param(seen(0, told(in_hand=611, **LONG_AGO)), Level.CRITICAL, State.BACKLOG_STEADY, id="all in hand"),
        pytest.param(seen(0, told(in_hand=1, quiet=900.0)), Level.OK, State.FINE, id="a long job, nothing behind"),
        pytest.param(seen(1, told(quiet=181.0, **LONG_AGO)), Level.CRITICAL, State.STUCK, id="stuck"),
        pytest.param(seen(1, told(quiet=179.0, **LONG_AGO)), Level.OK, State.FINE, id="not yet stuck"),
        pytest.param(seen(1, told(quiet=3500.0, emptied=3.0)), Level.OK, State.FINE, id="idle until now"),
        pytest.param(
            seen(1, told(quiet=181.0, **LONG_AGO), told(quiet=2.0, **LONG_AGO)), Level.OK, State.FINE, id="one moves"
        ),
        pytest.param(
            seen(1, told(quiet=400.0, mean=200.0, **LONG_AGO)),
            Level.CRITICAL,
            State.BACKLOG_STEADY,
            id="events of minutes: slow, not stuck",
        ),
        pytest.param(
            seen(9, told(up=181.0, mean=None, quiet=None, emptied=None)),
            Level.CRITICAL,
            State.STUCK,
            id="never moved",
        ),
        pytest.param(seen(100_000, told(**NEW)), Level.OK, State.STARTING, id="just started"),
        pytest.param(seen(1210, told(**NEW), told()), Level.OK, State.FINE, id="one just started, to help"),
        pytest.param(seen(1, consumers=1), Level.UNKNOWN, State.NO_ANSWER, id="no answer"),
        pytest.param(seen(1, told(), consumers=2), Level.UNKNOWN, State.NO_ANSWER, id="half an answer"),
        pytest.param(
            seen(1, told(**NEW), consumers=2), Level.UNKNOWN, State.NO_ANSWER, id="only the new one answers"
        ),
        pytest.param(
            seen(9999, told(), consumers=2), Level.CRITICAL, State.BACKLOG_BURST, id="half an answer, bad enough"
        ),
        pytest.param(seen(1), Level.CRITICAL, State.NO_CONSUMERS, id="nobody there"),
        pytest.param(seen(1, paused=True), Level.WARNING, State.PAUSED, id="paused"),
        pytest.param(seen(0, paused=True), Level.OK, State.PAUSED, id="paused, and nothing waits"),
    ],
)
def test_waiting(figures: Seen, level: Level, state: State) -> None:
    judgement = checks.waiting(figures, Bounds())
    assert (judgement.level, judgement.state) == (level, state)


@pytest.mark.parametrize(
    ("figures", "level", "state"),
    [
        pytest.param(seen(0, told(quiet=9000.0, emptied=0.5)), Level.OK, State.FINE, id="idle, nothing waits"),
        pytest.param(seen(500, told()), Level.OK, State.FINE, id="at work"),
        pytest.param(seen(5, told(problem="deaf")), Level.CRITICAL, State.NOT_CONSUMING, id="deaf"),
        pytest.param(seen(0, consumers=1), Level.CRITICAL, State.NO_ANSWER, id="connected, and does not answer"),
        pytest.param(seen(0), Level.CRITICAL, State.NO_CONSUMERS, id="nobody there"),
        pytest.param(seen(1, told(quiet=181.0, **LONG_AGO)), Level.CRITICAL, State.STUCK, id="stuck"),
        pytest.param(seen(5, told(quiet=999.0), paused=True), Level.WARNING, State.PAUSED, id="paused"),
    ],
)
def test_working(figures: Seen, level: Level, state: State) -> None:
    judgement = checks.working(figures, Bounds())
    assert (judgement.level, judgement.state) == (level, state)


@pytest.mark.parametrize(
    ("figures", "level", "state"),
    [
        (seen(0, consumers=2), Level.OK, State.FINE),
        (seen(0, consumers=0), Level.CRITICAL, State.NO_CONSUMERS),
        (seen(0, consumers=1, paused=True), Level.WARNING, State.PAUSED),
        (seen(0, consumers=0, paused=True), Level.WARNING, State.PAUSED),
    ],
)
def test_consumers(figures: Seen, level: Level, state: State) -> None:
    judgement = checks.consumers(figures)
    assert (judgement.level, judgement.state) == (level, state)


def test_dead_letters() -> None:
    assert checks.letters(seen(dead=1), Bounds()).state is State.DEAD_LETTERS
    assert checks.letters(seen(dead=1), Bounds(dead=1)).level is Level.OK
    assert checks.letters(seen(dead=2), Bounds(dead=1)).level is Level.WARNING


def test_what_is_not_known_is_worse_than_a_warning() -> None:
    assert checks.graver(Level.UNKNOWN, Level.WARNING) is Level.UNKNOWN
    assert checks.graver(Level.UNKNOWN, Level.CRITICAL) is Level.CRITICAL
    assert checks.graver(Level.OK, Level.UNKNOWN) is Level.UNKNOWN


def test_consumers_of_different_speed() -> None:
    quick, slow, new = told(mean=0.1), told(mean=1.0), told(**NEW)
    mean, slots = pooled([quick, slow])
    assert mean is not None
    assert slots / mean == pytest.approx(11)  # events a second
    mean, slots = pooled([quick, new])
    assert (mean, slots) == (0.1, 2)
    assert pooled([new]) == (None, 1)
    assert backlog(5, [told(in_hand=3), told(in_hand=0)]) == 7


def test_a_tally_forgets() -> None:
    tally = Tally(0.0)
    assert (tally.rate(100.0), tally.mean) == (0.0, None)
    for second in range(1, 601):
        tally.add(float(second), 2.0, 10)
    assert tally.rate(600.0) == pytest.approx(10, rel=0.05)
    assert tally.mean == pytest.approx(0.2)
    assert tally.rate(615.0) == pytest.approx(5, rel=0.05)
    for second in range(601, 1201):
        tally.add(float(second), 4.0, 10)
    assert tally.mean == pytest.approx(0.4, rel=0.01)
    assert (tally.done, tally.latest) == (12000, 1200.0)
    tally.add(1e9, 0.5, 1)  # after years of nothing
    assert tally.mean == pytest.approx(0.5)


def test_a_tally_knows_the_rate_from_its_first_minute_on() -> None:
    tally = Tally(0.0)
    for second in range(1, 11):
        tally.add(float(second), 1.0, 10)
    assert tally.rate(10.0) == pytest.approx(10, rel=0.1)
