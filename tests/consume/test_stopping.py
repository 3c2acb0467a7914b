"""How a consumer and its executors end."""

import signal
import time

import pytest

from tests.consume.stage import Stage, alive, children


@pytest.mark.parametrize("queue", ["plain", "threads", "tasks"])
def test_a_stop_finishes_what_is_in_hand_and_gives_back_the_rest(stage: Stage, queue: str) -> None:
    stage.publish(queue, *({"do": "gate", "n": n} for n in range(30)))
    consumer = stage.consumer("--queue", queue)
    most = 1 if queue == "plain" else 4
    stage.until(lambda: len(stage.ns("begin")) == most)
    consumer.terminate()
    stage.until(lambda: stage.broker.figures(queue).ready == 30 - most)
    assert consumer.poll() is None
    stage.open_gate()
    assert consumer.wait(10) == 0
    assert len(stage.ns()) == most
    assert stage.broker.figures(queue).ready == 30 - most
    assert stage.broker.figures(queue).in_hand == 0


@pytest.mark.parametrize("ask", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGQUIT,), (signal.SIGINT, signal.SIGINT)])
def test_at_once(stage: Stage, ask: tuple[signal.Signals, ...]) -> None:
    stage.publish("other", {"do": "swallow", "n": 1})
    consumer = stage.consumer("--queue", "other")
    stage.until(lambda: stage.ns("begin"))
    began = time.monotonic()
    for number in ask:
        consumer.send_signal(number)
        time.sleep(0.05)
    assert consumer.wait(5) == 0
    assert time.monotonic() - began < 2
    figures = stage.broker.figures("other")
    assert (figures.ready, figures.in_hand, figures.delayed, figures.dead) == (1, 0, 0, 0)


def test_the_grace_is_kept(stage: Stage) -> None:
    (its,) = stage.publish("plain", {"do": "swallow", "n": 1})
    consumer = stage.consumer("--queue", "plain", "--grace", "0.5")
    stage.until(lambda: stage.ns("begin"))
    began = time.monotonic()
    assert stage.stop(consumer, 5) == 0
    assert 0.4 < time.monotonic() - began < 2
    (left,) = stage.broker.peek("plain", 10)
    assert left.id == its
    assert left.headers == {}


def test_a_stop_while_an_executor_starts(stage: Stage) -> None:
    consumer = stage.consumer("--all", app="tests.apps.slow_start")
    stage.until(lambda: children(consumer.pid))
    assert stage.stop(consumer, 5) == 0
    # And while another is started, when one has been ready.
    consumer = stage.consumer("--all", app="tests.apps.slow_start")
    stage.until(lambda: stage.broker.figures("slow_start").consumers == 1)
    (executor,) = children(consumer.pid)
    stage.publish("slow_start", {"do": "segfault"})
    stage.until(lambda: children(consumer.pid) and children(consumer.pid)[0] != executor)
    began = time.monotonic()
    assert stage.stop(consumer, 5) == 0
    assert time.monotonic() - began < 2
    assert "cannot start" not in stage.log()


def test_executors_end_with_their_consumer(stage: Stage) -> None:
    stage.publish("two", {"do": "in C"}, {"do": "swallow"})
    consumer = stage.consumer("--queue", "two")
    stage.until(lambda: len(stage.ns("begin")) == 2)
    executors = children(consumer.pid)
    assert len(executors) == 2
    consumer.kill()
    consumer.wait()
    stage.until(lambda: not any(map(alive, executors)), 1)
    # Their events are back within a second or two, and none is counted.
    stage.until(lambda: stage.broker.figures("two").ready == 2, 5)


def test_a_thread_that_never_ends_does_not_keep_an_executor(stage: Stage) -> None:
    consumer = stage.consumer("--queue", "clings", "--grace", "0.5", app="tests.apps.clings")
    stage.until(lambda: stage.broker.figures("clings").consumers == 1)
    stage.publish("clings", *({"n": n} for n in range(9)))
    stage.until(lambda: len(stage.ns()) == 9 and stage.empty("clings"))
    # It was replaced after three events, and again: the old ones are gone.
    stage.until(lambda: len({e["pid"] for e in stage.effects("end")}) > 1)
    stage.until(lambda: len(children(consumer.pid)) == 1, 5)
    assert stage.stop(consumer, 5) == 0
