"""Order within a key: whatever becomes of an event, its followers wait for it, and other keys do not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from postroom.wire import headers as h
from tests.consume.stage import Stage, children, kill

APP = "tests.apps.ordered"
QUEUES = ("ordered", "ordered_threads")


@pytest.fixture(params=["sqlite", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """A stage on each broker, its queues empty."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/postroom.db"
    else:
        url = request.getfixturevalue("rabbit_node").url
    its = Stage(tmp_path, url)
    for queue in QUEUES:
        its.broker.declare(queue, ordered=True)
        its.broker.purge(queue)
        its.broker.purge_dead(queue)
    yield its
    its.end()


def publish(stage: Stage, queue: str, key: str, *acts: dict[str, Any]) -> list[str]:
    return stage.publish(queue, *({**act, "key": key} for act in acts), headers={h.KEY: key})


def ends(stage: Stage, key: str) -> list[int]:
    """The numbers of the key's events that ended, in that order; each is named KEY-NUMBER."""
    return [int(n.partition("-")[2]) for n in stage.ns() if n.startswith(f"{key}-")]


def test_keys_side_by_side_each_in_order(stage: Stage) -> None:
    for number in range(30):
        for key in "abcdefgh":
            publish(stage, "ordered_threads", key, {"n": f"{key}-{number}"})
    consumers = [stage.consumer("--queue", "ordered_threads", app=APP) for _ in range(2)]
    stage.until(lambda: len(stage.ns()) == 240 and stage.empty("ordered_threads"), 40)
    for key in "abcdefgh":
        assert ends(stage, key) == list(range(30))
    threads = {(effect["pid"], effect["thread"]) for effect in stage.effects("begin")}
    assert len(threads) > 1
    assert [stage.stop(consumer) for consumer in consumers] == [0, 0]


@pytest.mark.parametrize("do", ["fail at first", "snooze", "fail", "bury", "drop"])
def test_followers_wait_and_other_keys_go_on(stage: Stage, do: str) -> None:
    publish(stage, "ordered", "a", {"n": "a-0", "do": do}, {"n": "a-1"}, {"n": "a-2"})
    publish(stage, "ordered", "b", {"n": "b-0"}, {"n": "b-1"})
    consumer = stage.consumer("--queue", "ordered", app=APP)
    stage.until(lambda: "a-2" in stage.ns() and "b-1" in stage.ns() and stage.empty("ordered"))
    ended = do in ("fail at first", "snooze")
    assert ends(stage, "a") == ([0, 1, 2] if ended else [1, 2])
    assert ends(stage, "b") == [0, 1]
    attempts = {"fail": 3, "fail at first": 2, "snooze": 2}.get(do, 1)
    begun = stage.ns("begin")
    assert begun.count("a-0") == attempts
    assert begun.index("a-1") > max(place for place, n in enumerate(begun) if n == "a-0")
    assert len(stage.dead("ordered")) == (do in ("fail", "bury"))
    assert stage.stop(consumer) == 0


def test_while_a_key_is_retried_other_keys_go_on(stage: Stage) -> None:
    publish(stage, "ordered", "a", {"n": "a-0", "do": "snooze for long"}, {"n": "a-1"})
    stage.consumer("--queue", "ordered", app=APP)
    stage.until(lambda: "a-0" in stage.ns("begin"))
    publish(stage, "ordered", "b", *({"n": f"b-{n}"} for n in range(20)))
    stage.until(lambda: ends(stage, "b") == list(range(20)))
    assert ends(stage, "a") == []


def test_an_event_that_kills_its_executor_holds_its_key_until_it_is_buried(stage: Stage) -> None:
    (bad,) = publish(stage, "ordered", "a", {"n": "a-0", "do": "segfault"})
    publish(stage, "ordered", "a", {"n": "a-1"})
    publish(stage, "ordered", "b", {"n": "b-0"}, {"n": "b-1"})
    consumer = stage.consumer("--queue", "ordered", app=APP)
    stage.until(lambda: len(stage.ns()) == 3 and stage.empty("ordered"), 30)
    assert "it killed 2 executors" in stage.reasons("ordered")[bad]
    assert ends(stage, "b") == [0, 1]
    begun = stage.ns("begin")
    assert begun.count("a-0") == 2
    assert begun.index("a-1") > max(place for place, n in enumerate(begun) if n == "a-0")
    assert stage.stop(consumer) == 0


def test_several_in_hand_when_an_executor_dies(stage: Stage) -> None:
    """Which of them did it is not known: each runs alone, and every key keeps its order."""
    for key in "abcd":
        publish(stage, "ordered_threads", key, {"n": f"{key}-0", "do": "gate"}, {"n": f"{key}-1"})
    consumer = stage.consumer("--queue", "ordered_threads", app=APP)
    stage.until(lambda: len(stage.ns("begin")) == 4)
    for pid in {effect["pid"] for effect in stage.effects("begin")}:
        kill(pid)
    stage.open_gate()
    stage.until(lambda: len(stage.ns()) == 8 and stage.empty("ordered_threads"), 30)
    for key in "abcd":
        assert ends(stage, key) == [0, 1]
    assert stage.dead("ordered_threads") == []
    assert stage.stop(consumer) == 0


def test_a_consumer_that_dies_leaves_the_order_to_the_next(stage: Stage) -> None:
    for key in "ab":
        publish(stage, "ordered", key, {"n": f"{key}-0", "do": "gate"}, *({"n": f"{key}-{n}"} for n in range(1, 20)))
    consumer = stage.consumer("--queue", "ordered", app=APP)
    stage.until(lambda: stage.ns("begin"))
    heir = stage.consumer("--queue", "ordered", app=APP)
    for pid in [consumer.pid, *children(consumer.pid)]:
        kill(pid)
    stage.open_gate()
    stage.until(lambda: len(stage.ns()) == 40 and stage.empty("ordered"), 30)
    for key in "ab":
        assert ends(stage, key) == list(range(20))
    assert stage.stop(heir) == 0


def test_a_stop_gives_back_and_the_order_stays(stage: Stage) -> None:
    publish(stage, "ordered", "a", {"n": "a-0", "do": "gate"}, *({"n": f"a-{n}"} for n in range(1, 10)))
    publish(stage, "ordered", "b", {"n": "b-0", "do": "snooze for long"}, {"n": "b-1"})
    consumer = stage.consumer("--queue", "ordered", app=APP)
    stage.until(lambda: "a-0" in stage.ns("begin"))
    consumer.terminate()
    heir = stage.consumer("--queue", "ordered", app=APP)
    stage.open_gate()
    assert consumer.wait(20) == 0
    stage.until(lambda: ends(stage, "a") == list(range(10)), 30)
    assert stage.stop(heir) == 0
    assert stage.broker.figures("ordered").ready == 2


def test_a_pause_and_a_resume_keep_the_order(stage: Stage) -> None:
    publish(stage, "ordered", "a", {"n": "a-0", "do": "gate"}, *({"n": f"a-{n}"} for n in range(1, 10)))
    consumer = stage.consumer("--queue", "ordered", app=APP)
    stage.until(lambda: "a-0" in stage.ns("begin"))
    stage.broker.pause("ordered")
    stage.until(lambda: "ordered is paused" in stage.log())
    stage.open_gate()
    stage.until(lambda: "a-0" in stage.ns())
    stage.broker.resume("ordered")
    stage.until(lambda: ends(stage, "a") == list(range(10)), 30)
    assert stage.stop(consumer) == 0


def test_in_process(stage: Stage) -> None:
    publish(stage, "ordered", "a", {"n": "a-0", "do": "fail at first"}, {"n": "a-1"})
    publish(stage, "ordered", "b", {"n": "b-0"}, {"n": "b-1"})
    consumer = stage.consumer("--queue", "ordered", "--in-process", app=APP)
    stage.until(lambda: len(stage.ns()) == 4 and stage.empty("ordered"))
    assert (ends(stage, "a"), ends(stage, "b")) == ([0, 1], [0, 1])
    assert stage.stop(consumer) == 0


def test_an_event_whose_host_dies_with_it_is_counted_and_its_followers_wait(stage: Stage) -> None:
    """Not on RabbitMQ, where no note can be made of it in its place: there it runs alone, again and again."""
    if stage.url.startswith("amqp"):
        pytest.skip("RabbitMQ cannot count these in their place")
    (bad,) = publish(stage, "ordered", "a", {"n": "a-0", "do": "kill all"})
    publish(stage, "ordered", "a", {"n": "a-1"})
    publish(stage, "ordered", "b", {"n": "b-0"}, {"n": "b-1"})
    lives = 0
    while not stage.dead("ordered"):
        lives += 1
        assert lives < 9, stage.log()
        consumer = stage.consumer("--queue", "ordered", app=APP)
        stage.until(lambda: consumer.poll() is not None or stage.dead("ordered"), 20)  # noqa: B023
    stage.until(lambda: stage.empty("ordered"))
    assert stage.reasons("ordered") == {bad: "it killed 2 executors; the last went, and its consumer with it"}
    assert stage.ns("begin").count("a-0") == 4
    assert (ends(stage, "a"), ends(stage, "b")) == ([1], [0, 1])
    assert stage.stop(consumer) == 0
