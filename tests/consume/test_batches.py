"""Batches: when they are due, and how they fail."""

import time

from postroom.wire import headers as h
from tests.consume.stage import Stage


def test_a_batch_is_due_when_full_or_old(stage: Stage) -> None:
    stage.publish("batch", *({"n": n} for n in range(120)))
    stage.consumer("--queue", "batch")
    stage.until(lambda: len(stage.effects("batch done")) == 3 and stage.empty("batch"))
    first, second, third = stage.effects("batch done")
    assert [len(e["ns"]) for e in (first, second, third)] == [50, 50, 20]
    assert first["ns"] + second["ns"] + third["ns"] == list(range(120))
    assert third["at"] - second["at"] > 0.15
    stage.publish("batch", {"n": "alone"})
    published = time.monotonic()
    stage.until(lambda: len(stage.effects("batch done")) == 4 and stage.empty("batch"))
    assert 0.25 < stage.effects("batch done")[-1]["at"] - published < 3


def test_a_batch_fails_alone(stage: Stage) -> None:
    bad = stage.publish("batch", *({"n": n, "do": "fail" if n in (7, 8, 33) else "ok"} for n in range(50)))
    bad = [bad[7], bad[8], bad[33]]
    bad += stage.publish("batch", {"n": "bury", "do": "bury"}, b"rubbish")
    stage.publish("batch", {"n": "drop", "do": "drop"}, {"n": "snooze", "do": "snooze"})
    stage.consumer("--queue", "batch")
    stage.until(lambda: len(stage.dead("batch")) == 5 and stage.empty("batch"))
    done = [n for e in stage.effects("batch done") for n in e["ns"]]
    assert sorted(done, key=str) == sorted([*(set(range(50)) - {7, 8, 33}), "snooze"], key=str)
    assert {letter.id: h.number(letter.headers, h.ATTEMPTS) for letter in stage.dead("batch")} == dict(
        zip(bad, [3, 3, 3, 0, 0], strict=True)
    )


def test_a_segfault_in_a_batch_buries_exactly_one(stage: Stage) -> None:
    ids = stage.publish("batch", *({"n": n, "do": "segfault" if n == 31 else "ok"} for n in range(50)))
    stage.consumer("--queue", "batch")
    stage.until(lambda: stage.dead("batch") and stage.empty("batch"), 40)
    assert stage.reasons("batch") == {ids[31]: "it killed 2 executors; the last was killed by signal SIGSEGV"}
    done = [n for e in stage.effects("batch done") for n in e["ns"]]
    assert sorted(done) == sorted(set(range(50)) - {31})
