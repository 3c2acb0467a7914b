"""Executors that start, cannot start, are recycled, and are started again."""

import itertools
from pathlib import Path

from tests.consume.stage import Stage, children

GOOD = """
from postroom import Queue, assign_queue
from tests.apps.acts import act
queue = Queue("mended", backoff=0.02)
assign_queue(queue)(act)
"""


def test_the_first_start_fails(stage: Stage) -> None:
    consumer = stage.consumer("--all", app="tests.apps.broken")
    assert consumer.wait(10) == 1
    assert "tests.apps.broken cannot be started" in stage.log()
    assert "ZeroDivisionError" in stage.log()
    exits = stage.consumer("--all", app="tests.apps.exits")
    assert exits.wait(10) == 1
    assert "tests.apps.exits cannot be started" in stage.log(exits)
    assert "SystemExit: 3" in stage.log(exits)


def test_an_unknown_queue(stage: Stage) -> None:
    consumer = stage.consumer("--queue", "plane")
    assert consumer.wait(10) == 1
    assert stage.log() == "postroom: no worker is assigned to a queue 'plane'; did you mean 'plain'?\n"


def test_a_broker_in_memory_is_refused(stage: Stage) -> None:
    consumer = stage.consumer("--all", app="tests.apps.in_memory", POSTROOM_BROKER="")
    assert consumer.wait(10) == 1
    assert "memory:// lives in one process" in stage.log()


def test_a_module_that_breaks_and_is_mended(stage: Stage) -> None:
    app = stage.folder / "mended_app.py"
    app.write_text(GOOD)
    consumer = stage.consumer("--all", app="mended_app", PYTHONPATH=f"{stage.folder}:src:.")
    stage.publish("mended", {"n": 1})
    stage.until(lambda: stage.ns() == [1] and stage.empty("mended"))
    app.write_text("this is no Python")
    stage.publish("mended", {"n": 2, "do": "os._exit"})
    # It is tried again and again, and says why once.
    started: set[int] = set()

    def tried_again() -> bool:
        started.update(children(consumer.pid))
        return len(started) >= 5 and "cannot start" in stage.log(consumer)

    stage.until(tried_again)
    stage.publish("mended", {"n": 3})
    assert stage.log(consumer).count("cannot start") == 1
    assert stage.log(consumer).count("SyntaxError") == 1
    # What waits is there for other consumers to take.
    stage.until(lambda: stage.broker.figures("mended").ready >= 1)
    app.write_text(GOOD)
    stage.until(lambda: 3 in stage.ns(), 30)
    assert stage.stop(consumer) == 0


def test_recycling_by_count_without_a_gap_or_a_loss(stage: Stage) -> None:
    consumer = stage.consumer("--queue", "recycled")
    stage.publish("recycled", *({"n": n, "do": "wait", "seconds": 0.02} for n in range(60)))
    stage.until(lambda: len(stage.ns()) == 60 and stage.empty("recycled"))
    assert sorted(stage.ns()) == list(range(60))
    assert len({effect["pid"] for effect in stage.effects("end")}) >= 2
    ends = sorted(effect["at"] for effect in stage.effects("end"))
    assert max(later - sooner for sooner, later in itertools.pairwise(ends)) < 1
    stage.until(lambda: len(children(consumer.pid)) == 1)
    assert stage.dead("recycled") == []
    assert stage.stop(consumer) == 0


def test_recycling_by_memory(stage: Stage) -> None:
    consumer = stage.consumer("--queue", "fat")
    stage.until(lambda: len(children(consumer.pid)) == 1 and stage.broker.figures("fat").consumers == 1)
    (first,) = children(consumer.pid)
    for n in range(4):
        stage.publish("fat", {"n": n})
    stage.until(lambda: len(stage.ns()) == 4 and stage.empty("fat"))
    stage.until(lambda: len(children(consumer.pid)) == 1 and children(consumer.pid) != [first])
    assert stage.stop(consumer) == 0


def test_in_process(stage: Stage, tmp_path: Path) -> None:
    stage.publish("plain", {"n": 1}, {"n": 2, "do": "fail"}, b"rubbish", b'"' + b"x" * 2000 + b'"')
    stage.publish("tasks", {"n": 3})
    stage.publish("batch", {"n": 4}, {"n": 5})
    consumer = stage.consumer("--all", "--in-process")
    stage.until(lambda: len(stage.dead("plain")) == 3 and 3 in stage.ns() and stage.effects("batch done"))
    assert {effect["pid"] for effect in stage.effects("begin")} == {consumer.pid}
    assert not children(consumer.pid)
    assert any("max_bytes is 1000" in reason for reason in stage.reasons("plain").values())
    stage.publish("plain", {"n": 6, "do": "gate"}, {"n": 7})
    stage.until(lambda: 6 in stage.ns("begin"))
    consumer.terminate()
    stage.open_gate()
    assert consumer.wait(5) == 0
    assert 6 in stage.ns()
    assert stage.broker.figures("plain").ready == 1
