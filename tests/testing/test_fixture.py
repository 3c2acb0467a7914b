"""The pytest fixture, in a project without Django."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from postroom import (
    BatchWorker,
    Bury,
    Drop,
    Queue,
    Retry,
    Worker,
    aqueue_json_publish,
    assign_queue,
    current_event,
    queue_json_publish,
    queue_json_publish_many,
)
from postroom.errors import PostroomError, UnknownQueue
from postroom.publish.door import broker
from postroom.queues.registry import Snapshot
from postroom.settings import settings
from postroom.testing.drain import NotConsumed
from postroom.testing.drained import Drained
from postroom.testing.room import Room
from postroom.wire.message import Message


@dataclass(frozen=True)
class Parcel:
    to: str
    weight: int = 1


@pytest.fixture(autouse=True)
def _own_queues() -> Iterator[None]:
    snapshot = Snapshot()
    yield
    snapshot.restore()


def worker_that(*outcomes: Exception | None, **queue_options: Any) -> tuple[Queue[Parcel], list[Parcel]]:
    """A queue whose worker raises these in turn (None: it succeeds), and then succeeds; and what it got."""
    parcels = Queue("parcels", Parcel, **queue_options)
    got: list[Parcel] = []
    left = list(outcomes)

    @assign_queue(parcels)
    def carry(parcel: Parcel) -> None:
        got.append(parcel)
        outcome = left.pop(0) if left else None
        if outcome is not None:
            raise outcome

    return parcels, got


def test_published_and_drained(postroom: Room) -> None:
    parcels, got = worker_that()
    queue_json_publish(parcels, Parcel("ada"))
    queue_json_publish("parcels", {"to": "bob", "weight": 2})
    assert postroom.published(parcels) == postroom.published("parcels") == [Parcel("ada"), Parcel("bob", 2)]
    assert got == []
    assert postroom.drain() == Drained(done=2)
    assert got == [Parcel("ada"), Parcel("bob", 2)]
    assert len(postroom.published(parcels)) == 2
    assert postroom.drain() == Drained()


def test_each_test_begins_empty(postroom: Room) -> None:
    parcels, _ = worker_that()
    assert postroom.published(parcels) == []
    assert broker().figures("parcels").ready == 0
    assert settings().broker.startswith("memory:")


def test_an_unknown_name_is_told(postroom: Room) -> None:
    worker_that()
    with pytest.raises(UnknownQueue, match="did you mean 'parcels'"):
        postroom.published("parsels")


def test_a_workers_error_is_the_tests(postroom: Room) -> None:
    error = ZeroDivisionError("heavy")
    parcels, got = worker_that(error)
    queue_json_publish(parcels, Parcel("ada"))
    with pytest.raises(ZeroDivisionError) as caught:
        postroom.drain()
    assert caught.value is error
    assert caught.traceback[-1].name == "carry"
    # It was put off as in production, and succeeds the second time.
    assert postroom.drain() == Drained(done=1)
    assert got == [Parcel("ada")] * 2


def test_retries_run_at_once_until_it_is_buried(postroom: Room) -> None:
    parcels, got = worker_that(*[ValueError(str(n)) for n in range(9)], max_attempts=4, backoff=3600)
    queue_json_publish(parcels, Parcel("ada"))
    assert postroom.drain(raises=False) == Drained(failed=4, buried=1)
    assert len(got) == 4
    assert broker().figures("parcels").dead == 1


@pytest.mark.parametrize(
    ("signal", "drained"),
    [
        (Bury("no such town"), Drained(buried=1)),
        (Drop("out of date"), Drained(dropped=1)),
        (Retry(after=86_400), Drained(done=1, retried=1)),
    ],
)
def test_what_a_worker_decides_is_no_error(postroom: Room, signal: Exception, drained: Drained) -> None:
    parcels, _ = worker_that(signal)
    queue_json_publish(parcels, Parcel("ada"))
    assert postroom.drain() == drained


def test_delayed_events_are_due_at_once_and_in_order(postroom: Room) -> None:
    parcels, got = worker_that()
    queue_json_publish(parcels, Parcel("last"), delay=30 * 86_400)
    queue_json_publish(parcels, Parcel("second"), delay=60)
    queue_json_publish(parcels, Parcel("first"))
    assert postroom.drain() == Drained(done=3)
    assert [parcel.to for parcel in got] == ["first", "second", "last"]


def test_workers_publish_to_one_another(postroom: Room) -> None:
    parcels, got = worker_that()

    @assign_queue("orders")
    def order(to: str) -> None:
        queue_json_publish(parcels, Parcel(to))

    queue_json_publish("orders", "ada")
    assert postroom.drain() == Drained(done=2)
    assert postroom.published(parcels) == got == [Parcel("ada")]


def test_no_end_is_an_error(postroom: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postroom.testing.drain.MOST", 50)

    @assign_queue("echo")
    def echo(text: str) -> None:
        queue_json_publish("echo", text)

    queue_json_publish("echo", "hello")
    with pytest.raises(PostroomError, match=r"not empty after 50 runs.*done=50"):
        postroom.drain()


def test_a_body_that_is_no_payload_is_buried_and_raised(postroom: Room) -> None:
    worker_that()
    for number in range(2):
        broker().publish("parcels", [Message(f"m{number}", b'{"weight": 1}', {}, 0.0)], 0, 5)
    with pytest.raises(NotConsumed, match=r"parcels m0: .*missing required field `to`"):
        postroom.drain()
    assert postroom.drain(raises=False) == Drained(failed=1, buried=1)


def test_async_workers(postroom: Room) -> None:
    got = []

    @assign_queue("letters", concurrency=4)
    async def carry(parcel: Parcel) -> None:
        await asyncio.sleep(0)
        got.append((parcel, current_event().attempt))
        if len(got) == 1:
            raise LookupError("no such house")

    queue_json_publish("letters", {"to": "ada"})
    with pytest.raises(LookupError):
        postroom.drain()
    assert postroom.drain() == Drained(done=1)
    assert got == [(Parcel("ada"), 1), (Parcel("ada"), 2)]


def test_async_tests(postroom: Room) -> None:
    parcels, got = worker_that()

    async def test() -> Drained:
        await aqueue_json_publish(parcels, Parcel("ada"))
        with pytest.raises(PostroomError, match=r"await adrain\(\)"):
            postroom.drain()
        return await postroom.adrain()

    assert asyncio.run(test()) == Drained(done=1)
    assert got == [Parcel("ada")]


def test_a_batch_is_one_consume_and_its_bad_event_stands_alone(postroom: Room) -> None:
    parcels = Queue("parcels", Parcel, max_attempts=2)
    batches = []

    @assign_queue(parcels, batch_size=4)
    class Van(BatchWorker[Parcel]):
        def consume_batch(self, events: list[Parcel]) -> None:
            batches.append([parcel.to for parcel in events])
            if any(parcel.weight > 100 for parcel in events):
                raise OverflowError("too heavy")

    queue_json_publish_many(parcels, [Parcel(to, 1000 if to == "c" else 1) for to in "abcde"])
    with pytest.raises(OverflowError, match="too heavy"):
        postroom.drain()
    assert batches == [list("abcd"), ["a", "b"], ["c", "d"], ["c"], ["d"]]
    assert postroom.drain(raises=False) == Drained(done=1, failed=1, buried=1)


def test_a_worker_is_started_and_stopped(postroom: Room) -> None:
    life = []

    @assign_queue("parcels")
    class Carrier(Worker[Parcel]):
        def start(self) -> None:
            life.append("start")

        def stop(self) -> None:
            life.append("stop")

        def consume(self, event: Parcel) -> None:
            life.append(event.to)

    queue_json_publish_many("parcels", [{"to": "ada"}, {"to": "bob"}])
    postroom.drain()
    assert life == ["start", "ada", "bob", "stop"]


def test_an_interrupt_is_never_counted(postroom: Room) -> None:
    def interrupt(parcel: Parcel) -> None:
        raise KeyboardInterrupt

    assign_queue("parcels")(interrupt)
    queue_json_publish("parcels", {"to": "ada"})
    with pytest.raises(KeyboardInterrupt):
        postroom.drain(raises=False)


def test_the_plugin_loads_nothing_until_it_is_used() -> None:
    code = (
        "import sys, postroom.testing.plugin\n"
        "loaded = {'postroom.testing.room', 'postroom.execute.inline', 'asyncio', 'django'} & set(sys.modules)\n"
        "sys.exit(repr(loaded) if loaded else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_drain_keeps_the_order_of_a_key(postroom: Room) -> None:
    parcels, got = worker_that(ValueError("not at first"), None, Retry(after=30.0), order_by="to")
    queue_json_publish_many(parcels, [Parcel("ada", 1), Parcel("ada", 2), Parcel("bob", 3)])
    postroom.drain(raises=False)
    assert [parcel.weight for parcel in got] == [1, 3, 1, 1, 2]
