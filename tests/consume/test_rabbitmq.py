"""The same over RabbitMQ: outcomes, crashes, stops, and a broker that goes away."""

import datetime
import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest

from postroom.wire import headers as h
from postroom.wire.message import Header
from tests.consume.stage import Stage, children, kill
from tests.rabbit import RabbitNode

pytestmark = pytest.mark.rabbitmq

QUEUES = ("plain", "threads", "batch", "tasks")


@pytest.fixture
def stage(tmp_path: Path, rabbit_node: RabbitNode) -> Iterator[Stage]:
    """A stage on the node, its queues empty."""
    its = Stage(tmp_path, rabbit_node.url)
    for queue in QUEUES:
        its.broker.declare(queue)
        its.broker.purge(queue)
        its.broker.purge_dead(queue)
    yield its
    its.end()


def test_outcomes(stage: Stage) -> None:
    (bad,) = stage.publish("plain", {"do": "fail", "n": "bad"})
    (rubbish,) = stage.publish("plain", b"\xff")
    (killer,) = stage.publish("plain", {"do": "segfault", "n": "killer"})
    stage.publish("plain", {"do": "snooze", "n": "snooze"}, *({"n": n} for n in range(100)))
    consumer = stage.consumer("--queue", "plain")
    stage.until(lambda: len(stage.dead("plain")) == 3 and len(stage.ns()) == 101, 40)
    assert stage.reasons("plain").keys() == {bad, rubbish, killer}
    assert set(stage.ns()) == {*range(100), "snooze"}
    assert stage.stop(consumer) == 0
    stage.until(lambda: stage.broker.figures("plain").ready == 0)


def test_a_batch_with_a_killer(stage: Stage) -> None:
    ids = stage.publish("batch", *({"n": n, "do": "segfault" if n == 3 else "ok"} for n in range(20)))
    stage.consumer("--queue", "batch")
    stage.until(lambda: stage.dead("batch"), 40)
    assert stage.reasons("batch").keys() == {ids[3]}
    stage.until(lambda: len([n for e in stage.effects("batch done") for n in e["ns"]]) == 19)


def test_a_stop_gives_back_what_waits(stage: Stage) -> None:
    stage.publish("plain", *({"do": "gate", "n": n} for n in range(5)))
    consumer = stage.consumer("--queue", "plain")
    stage.until(lambda: stage.ns("begin"))
    consumer.terminate()
    stage.until(lambda: stage.broker.figures("plain").ready == 4)
    stage.open_gate()
    assert consumer.wait(10) == 0
    assert stage.ns() == [0]
    assert [len(stage.dead("plain")), stage.broker.figures("plain").ready] == [0, 4]


def test_a_look_is_held_against_nobody(stage: Stage) -> None:
    stage.broker.pause("plain")
    consumer = stage.consumer("--queue", "plain")
    stage.until(lambda: "plain is paused" in stage.log(consumer))
    # One more return that is its own fault, and it is buried.
    marked: dict[str, Header] = {h.SUSPECT: True, h.CRASHES: 2}
    stage.publish("plain", {"n": "marked"}, headers=marked)
    assert [len(stage.broker.peek("plain", 10)) for _ in range(3)] == [1, 1, 1]
    stage.broker.resume("plain")
    stage.until(lambda: stage.ns() == ["marked"])
    assert stage.dead("plain") == []


def test_slow_events_spread_over_two_consumers(stage: Stage) -> None:
    first = stage.consumer("--queue", "plain")
    stage.publish("plain", *({"n": n} for n in range(300)))
    stage.until(lambda: len(stage.ns()) == 300)
    stage.publish("plain", *({"do": "gate", "n": n} for n in range(8)))
    stage.until(lambda: len(stage.ns("begin")) == 301)
    second = stage.consumer("--queue", "plain")
    stage.until(lambda: len(stage.ns("begin")) == 302)
    stage.open_gate()
    stage.until(lambda: len(stage.ns()) == 308)
    assert stage.stop(first) == stage.stop(second) == 0
    assert stage.dead("plain") == []


def test_the_broker_goes_away_with_events_in_hand(stage: Stage, rabbit_node: RabbitNode) -> None:
    """Those that go on through it run once; those whose executor dies meanwhile run again."""
    stage.publish("plain", {"do": "gate", "n": "goes on", "gate": "first"}, *({"n": n} for n in range(20)))
    stage.publish("threads", *({"do": "gate", "n": f"killed {n}", "gate": "second"} for n in range(4)))
    consumer = stage.consumer("--queue", "plain", "--queue", "threads")
    stage.until(lambda: len(stage.ns("begin")) == 5)
    threads = next(e["pid"] for e in stage.effects("begin") if str(e["n"]).startswith("killed"))
    rabbit_node.kill()
    stage.until(lambda: "the broker is gone" in stage.log(consumer))
    assert threads in children(consumer.pid)
    kill(threads)
    stage.open_gate("first")
    stage.until(lambda: "goes on" in stage.ns())
    rabbit_node.start()
    stage.open_gate("second")
    wanted = {"goes on", *range(20), *(f"killed {n}" for n in range(4))}
    stage.until(lambda: set(stage.ns()) == wanted, 40)
    assert stage.ns("begin").count("goes on") == 1
    assert consumer.poll() is None
    assert stage.stop(consumer) == 0
    for queue in ("plain", "threads"):
        assert stage.broker.figures(queue).ready == 0
        assert stage.dead(queue) == []


def test_a_stop_counts_what_waits_once_at_most(stage: Stage, rabbit_node: RabbitNode) -> None:
    """Twice would make suspects of events that no worker has ever seen."""
    consumer = stage.consumer("--queue", "plain")
    stage.publish("plain", *({"n": n} for n in range(300)))
    stage.until(lambda: len(stage.ns()) == 300)
    stage.publish("plain", *({"do": "gate", "n": n} for n in range(50)))
    stage.until(lambda: len(stage.ns("begin")) == 301)
    consumer.terminate()
    stage.until(lambda: stage.broker.figures("plain").ready == 49)
    stage.open_gate()
    assert consumer.wait(10) == 0
    assert max(returns(rabbit_node, "plain", 49)) <= 1


def test_a_queue_that_is_deleted_under_its_worker(stage: Stage, rabbit_node: RabbitNode) -> None:
    """It is made again and consumed; what was in hand is finished, and its neighbour notices nothing."""
    consumer = stage.consumer("--queue", "plain", "--queue", "threads")
    stage.publish("plain", {"do": "gate", "n": "in hand"})
    stage.publish("threads", {"do": "gate", "n": "neighbour", "gate": "second"})
    stage.until(lambda: len(stage.ns("begin")) == 2)
    connection = pika.BlockingConnection(pika.URLParameters(rabbit_node.url))
    connection.channel().queue_delete("plain")
    connection.close()
    stage.until(lambda: "the queue 'plain' was deleted, with all that waited in it" in stage.log(consumer), 2)
    stage.publish("plain", {"n": "after"})
    stage.open_gate()
    stage.open_gate("second")
    stage.until(lambda: set(stage.ns()) == {"in hand", "neighbour", "after"})
    assert len(stage.ns("begin")) == 3
    assert stage.stop(consumer) == 0
    for queue in ("plain", "threads"):
        assert stage.broker.figures(queue).ready == 0
    assert "the broker is gone" not in stage.log(consumer)


def returns(node: RabbitNode, queue: str, count: int) -> list[int]:
    """How often each of the ready events came back."""
    connection = pika.BlockingConnection(pika.URLParameters(node.url))
    try:
        channel = connection.channel()
        got = [channel.basic_get(queue) for _ in range(count)]
        return [(one.headers or {}).get("x-delivery-count", 0) for _, one, _ in got if one is not None]
    finally:
        connection.close()


def test_foreign_headers_of_every_kind(stage: Stage, rabbit_node: RabbitNode) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(rabbit_node.url))
    channel = connection.channel()
    strange: dict[str, Any] = {
        "table": {"a": 1},
        "list": [1, "x"],
        "none": None,
        "bytes": b"\xff\xfe",
        "big": 2**62,
        "": 1,
    }
    strange |= {"moment": datetime.datetime.now(datetime.UTC), "decimal": decimal.Decimal("1.5")}
    strange |= {h.ATTEMPTS: "five", h.FIRST_FAILED: {"x": 1}, h.CRASHES: -3, h.VERSION: 0}
    channel.basic_publish("", "plain", b'{"n": 1}', pika.BasicProperties(headers=strange))
    channel.basic_publish("", "plain", b'{"n": 2}')
    channel.basic_publish("", "plain", b'{"n": 3}', pika.BasicProperties(message_id="é" * 100, priority=9))
    connection.close()
    stage.consumer("--queue", "plain")
    stage.until(lambda: {1, 2, 3} <= set(stage.ns()))
    assert stage.dead("plain") == []
