"""Events that kill their executor, and the neighbours that must not suffer for it."""

import signal

import pytest

from postroom.wire import headers as h
from tests.consume.stage import Stage, children, kill


@pytest.mark.parametrize(
    ("do", "how"),
    [
        ("segfault", "was killed by signal SIGSEGV"),
        ("os._exit", "exited with status 4"),
        ("kill", "was killed by signal SIGKILL (out of memory?)"),
    ],
)
def test_a_killer_alone_is_counted_and_buried(stage: Stage, do: str, how: str) -> None:
    (bad,) = stage.publish("plain", {"do": do, "n": "bad"})
    stage.publish("plain", *({"n": n} for n in range(100)))
    stage.consumer("--queue", "plain")
    stage.until(lambda: stage.dead("plain") and stage.empty("plain"))
    (letter,) = stage.dead("plain")
    assert letter.id == bad
    assert letter.headers[h.REASON] == f"it killed 2 executors; the last {how}"
    assert letter.headers[h.CRASHES] == 2
    assert h.number(letter.headers, h.GENERATION) < 6
    assert stage.ns("begin").count("bad") == 2
    assert sorted(stage.ns()) == list(range(100))


@pytest.mark.parametrize("queue", ["threads", "tasks"])
def test_a_segfault_beside_others(stage: Stage, queue: str) -> None:
    (bad,) = stage.publish(queue, {"do": "segfault", "n": "bad"})
    stage.publish(queue, *({"do": "gate", "n": n} for n in range(3)), *({"n": n} for n in range(3, 60)))
    stage.open_gate()
    stage.consumer("--queue", queue)
    stage.until(lambda: stage.dead(queue) and stage.empty(queue), 30)
    assert stage.reasons(queue).keys() == {bad}
    assert sorted(set(stage.ns())) == list(range(60))
    # Only those that were in hand beside it may have run twice.
    assert len(stage.ns()) <= 63


def test_a_killed_executor_is_replaced_and_its_neighbours_lose_nothing(stage: Stage) -> None:
    consumer = stage.consumer("--queue", "threads")
    stage.publish("threads", *({"do": "gate", "n": n} for n in range(4)), *({"n": n} for n in range(4, 30)))
    stage.until(lambda: len(stage.ns("begin")) == 4)
    (executor,) = children(consumer.pid)
    kill(executor)
    stage.open_gate()
    stage.until(lambda: len(set(stage.ns())) == 30 and stage.empty("threads"))
    assert stage.dead("threads") == []
    assert stage.stop(consumer) == 0


def test_what_comes_while_an_executor_is_replaced_is_kept(stage: Stage) -> None:
    """Not given back, only to come again at once, and again."""
    consumer = stage.consumer("--queue", "slow_start", app="tests.apps.slow_start")
    stage.until(lambda: len(children(consumer.pid)) == 1 and stage.broker.figures("slow_start").consumers)
    kill(children(consumer.pid)[0])
    stage.until(lambda: "another is started" in stage.log(consumer))
    stage.publish("slow_start", {"n": 1})
    stage.until(lambda: stage.broker.figures("slow_start").in_hand == 1)
    looks = 0
    while not stage.ns("begin"):
        looks += 1
        assert stage.broker.figures("slow_start").in_hand == 1 or stage.ns("begin")
    assert looks > 1
    stage.until(lambda: stage.empty("slow_start"))


def test_a_marked_event_waits_quietly_for_the_quarantine(stage: Stage) -> None:
    (bad,) = stage.publish("slow_start", {"do": "segfault"})
    stage.consumer("--queue", "slow_start", app="tests.apps.slow_start")
    stage.until(lambda: stage.dead("slow_start"), 30)
    (letter,) = stage.dead("slow_start")
    assert letter.id == bad
    assert h.number(letter.headers, h.GENERATION) < 10


def test_an_event_whose_host_dies_twice_is_marked_and_runs_alone(stage: Stage) -> None:
    """The killer takes the whole consumer with it: it is marked at its third coming, and counted when it does it
    again. The innocent that were in the same hand are never counted."""
    (bad,) = stage.publish("plain", {"do": "kill all", "n": "bad"})
    stage.publish("plain", *({"n": n} for n in range(20)))
    lives = 0
    while not stage.dead("plain"):
        lives += 1
        assert lives < 9, stage.log()
        consumer = stage.consumer("--queue", "plain")
        stage.until(lambda: consumer.poll() is not None or stage.dead("plain"), 15)  # noqa: B023
    stage.until(lambda: stage.empty("plain"))
    assert stage.reasons("plain") == {bad: "it killed 2 executors; the last went, and its consumer with it"}
    assert set(stage.ns()) == set(range(20))
    assert stage.ns("begin").count("bad") == 4
    assert stage.stop(consumer) == 0


def test_innocents_in_hand_when_the_host_dies_are_never_buried(stage: Stage) -> None:
    stage.publish("threads", *({"do": "gate", "n": n} for n in range(4)))
    for _ in range(4):
        consumer = stage.consumer("--queue", "threads")
        begun = len(stage.effects("begin"))
        stage.until(lambda: len(stage.effects("begin")) > begun, 15)  # noqa: B023
        for pid in [consumer.pid, *children(consumer.pid)]:
            kill(pid)
        consumer.wait()
    alone = stage.ns("begin")[-1]
    stage.open_gate()
    consumer = stage.consumer("--queue", "threads")
    stage.until(lambda: (set(stage.ns()) == {0, 1, 2, 3} or stage.dead("threads")) and stage.empty("threads"), 30)
    # One of them runs alone when its consumer is killed for the third and fourth time: only that one is counted.
    assert len(stage.dead("threads")) <= 1
    assert set(stage.ns()) | {alone} == {0, 1, 2, 3}
    assert stage.stop(consumer) == 0


def test_an_executor_that_dies_without_an_event_is_not_started_in_haste(stage: Stage) -> None:
    consumer = stage.consumer("--queue", "brittle", app="tests.apps.brittle")
    stage.until(lambda: len(stage.effects("start")) == 4)
    starts = [effect["at"] for effect in stage.effects("start")]
    assert starts[-1] - starts[0] > 0.3
    (stage.folder / "mended").touch()
    stage.publish("brittle", {"n": 1})
    stage.until(lambda: stage.ns() == [1] and stage.empty("brittle"))
    consumer.send_signal(signal.SIGTERM)
    assert consumer.wait(10) == 0
