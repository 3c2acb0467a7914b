"""Time limits: soft, hard, and what they spare."""

import pytest

from postroom.wire import headers as h
from tests.consume.stage import Stage, alive


@pytest.mark.parametrize(
    ("queue", "do"),
    [("quick", "sleep"), ("quick", "spin"), ("threads", "spin"), ("tasks", "sleep"), ("timed_batch", "sleep")],
)
def test_the_soft_limit_is_a_failed_attempt(stage: Stage, queue: str, do: str) -> None:
    (late,) = stage.publish(queue, {"do": do, "n": "late"})
    consumer = stage.consumer("--queue", queue)
    stage.until(lambda: stage.dead(queue))
    (letter,) = stage.dead(queue)
    assert letter.id == late
    assert h.number(letter.headers, h.ATTEMPTS) == 3
    assert h.number(letter.headers, h.CRASHES) == 0
    assert "TimeLimitReached" in h.text(letter.headers, h.REASON)
    assert "another is started" not in stage.log(consumer)
    stage.publish(queue, {"n": "good"})
    stage.until(lambda: "good" in stage.ns() or any(e["ns"] == ["good"] for e in stage.effects("batch done")))


def test_the_stacks_are_logged_once_at_half_of_the_limit(stage: Stage) -> None:
    stage.publish("quick", {"do": "wait", "seconds": 0.35})
    consumer = stage.consumer("--queue", "quick")
    stage.until(lambda: stage.ns() and stage.empty("quick"))
    log = stage.log(consumer)
    assert log.count("the stacks of executor") == 1
    assert log.count("acts.py") >= 1


@pytest.mark.parametrize("do", ["swallow", "in C"])
def test_the_hard_limit_kills(stage: Stage, do: str) -> None:
    (late,) = stage.publish("quick", {"do": do})
    consumer = stage.consumer("--queue", "quick", "--grace", "0.3")
    stage.publish("quick", {"n": "good"})
    stage.until(lambda: stage.dead("quick") and "good" in stage.ns())
    assert stage.reasons("quick") == {late: "it killed 2 executors; the last was killed at its hard time limit"}
    assert stage.stop(consumer) == 0


def test_neighbours_get_their_grace_and_are_not_counted(stage: Stage) -> None:
    (late,) = stage.publish("threads", {"do": "swallow", "n": "late"})
    stage.publish("threads", {"do": "wait", "seconds": 0.4, "n": "neighbour"})
    consumer = stage.consumer("--queue", "threads", "--grace", "0.5")
    stage.until(lambda: "late" in stage.ns("begin"))
    # The last of them begin before the hard limit and go on after it.
    stage.publish("threads", *({"do": "wait", "seconds": 0.4, "n": n} for n in range(12)))
    stage.until(lambda: stage.dead("threads") and stage.empty("threads"))
    assert stage.reasons("threads").keys() == {late}
    assert set(range(12)) | {"neighbour"} <= set(stage.ns())
    assert stage.stop(consumer) == 0


def test_a_hard_limit_ends_the_whole_group(stage: Stage) -> None:
    stage.publish("quick", {"do": "grandchild"})
    stage.consumer("--queue", "quick", "--grace", "0.2")
    stage.until(lambda: stage.effects("grandchild"))
    child = stage.effects("grandchild")[0]["child"]
    stage.until(lambda: not alive(child), 5)


def test_decoding_is_limited_too(stage: Stage) -> None:
    """A validator that never returns, and one that segfaults, in a batch."""
    bad = stage.publish("guarded", {"how": "spin"}, {"how": "segfault"}, {"how": "key error"})
    stage.publish("guarded", {"how": "good"})
    bad += stage.publish("guarded_batch", {"how": "spin"}, {"how": "segfault"}, {"how": "key error"})
    stage.publish("guarded_batch", {"how": "good"})
    stage.consumer("--all", app="tests.apps.guarded")
    stage.until(lambda: len(stage.dead("guarded")) == 3 and len(stage.dead("guarded_batch")) == 3)
    stage.until(lambda: len(stage.effects("guarded")) == 2)
    reasons = stage.reasons("guarded") | stage.reasons("guarded_batch")
    assert reasons.keys() == set(bad)
    for one in (0, 3):
        assert "TimeLimitReached" in reasons[bad[one]]
        assert "SIGSEGV" in reasons[bad[one + 1]]
        assert "KeyError" in reasons[bad[one + 2]]
