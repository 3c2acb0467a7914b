"""Concurrency: threads, tasks, executors, consumers."""

import pytest

from tests.consume.stage import Stage, children


@pytest.mark.parametrize("queue", ["threads", "tasks"])
def test_four_at_once(stage: Stage, queue: str) -> None:
    stage.publish(queue, *({"do": "gate", "n": n} for n in range(4)), *({"n": n} for n in range(4, 40)))
    consumer = stage.consumer("--queue", queue)
    stage.until(lambda: set(stage.ns("begin")) == {0, 1, 2, 3})
    stage.open_gate()
    stage.until(lambda: len(stage.ns()) == 40 and stage.empty(queue))
    assert stage.stop(consumer) == 0


def test_two_processes(stage: Stage) -> None:
    stage.publish("two", {"do": "gate", "n": 0}, {"do": "gate", "n": 1})
    consumer = stage.consumer("--queue", "two")
    stage.until(lambda: len(stage.ns("begin")) == 2)
    assert {e["pid"] for e in stage.effects("begin")} == set(children(consumer.pid))
    stage.open_gate()
    stage.until(lambda: stage.empty("two"))


def test_small_queues_share_an_executor(stage: Stage) -> None:
    stage.publish("plain", {"do": "gate", "n": 0})
    stage.publish("other", {"do": "gate", "n": 1})
    consumer = stage.consumer("--queue", "plain", "--queue", "other")
    stage.until(lambda: len(stage.ns("begin")) == 2)
    assert len({e["pid"] for e in stage.effects("begin")}) == 1
    stage.open_gate()
    stage.until(lambda: stage.empty("plain") and stage.empty("other"))
    assert stage.stop(consumer) == 0
    assert len(stage.effects("start")) == len(stage.effects("stop")) == 1


def test_slow_events_spread_over_two_consumers(stage: Stage) -> None:
    """None waits in one consumer's hand while the other is idle: neither at first, nor when fast ones turn slow."""
    first = stage.consumer("--queue", "plain")
    stage.publish("plain", *({"n": n} for n in range(300)))
    stage.until(lambda: len(stage.ns()) == 300)
    stage.publish("plain", *({"do": "gate", "n": n, "gate": f"gate-{n}"} for n in range(4)))
    stage.until(lambda: 0 in stage.ns("begin")[300:])
    second = stage.consumer("--queue", "plain")
    stage.until(lambda: 1 in stage.ns("begin")[300:], 10)
    stage.open_gate("gate-0")
    stage.open_gate("gate-1")
    stage.until(lambda: {2, 3} <= set(stage.ns("begin")[300:]), 10)
    assert len({e["pid"] for e in stage.effects("begin")[300:]}) == 2
    stage.open_gate("gate-2")
    stage.open_gate("gate-3")
    stage.until(lambda: stage.empty("plain"))
    assert stage.stop(first) == stage.stop(second) == 0
    assert len(stage.ns()) == 304


def test_two_slow_events_go_to_two_new_consumers(stage: Stage) -> None:
    consumers = [stage.consumer("--queue", "other") for _ in range(2)]
    stage.until(lambda: stage.broker.figures("other").consumers == 2)
    stage.publish("other", *({"do": "gate", "n": n} for n in range(2)))
    stage.until(lambda: len(stage.ns("begin")) == 2)
    stage.open_gate()
    assert [stage.stop(each) for each in consumers] == [0, 0]


def test_a_pause_gives_back_what_waits(stage: Stage) -> None:
    stage.publish("plain", *({"do": "wait", "seconds": 0.05, "n": n} for n in range(10)))
    stage.consumer("--queue", "plain")
    stage.until(lambda: stage.empty("plain"))
    stage.publish("plain", {"do": "gate", "n": "gate"}, *({"n": n} for n in range(10, 25)))
    stage.until(lambda: "gate" in stage.ns("begin"))
    stage.broker.pause("plain")
    stage.until(lambda: stage.broker.figures("plain").ready == 15)
    stage.open_gate()
    stage.until(lambda: stage.broker.figures("plain").in_hand == 0)
    assert stage.broker.figures("plain").ready == 15
    stage.broker.resume("plain")
    stage.until(lambda: stage.empty("plain"))
    assert [n for n in stage.ns() if n != "gate"] == list(range(25))
