"""Declaring queues and workers, and the mistakes that are caught there."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from postroom import BatchWorker, Queue, Worker, assign_queue
from postroom.errors import DeclarationError, UnknownQueue, WrongPayload
from postroom.queues import registry


@dataclass
class Invite:
    email: str


def test_an_unknown_queue_names_the_closest() -> None:
    Queue("declared_invites")
    with pytest.raises(
        UnknownQueue, match=r"no queue 'declared_invite' is declared; did you mean 'declared_invites'"
    ):
        registry.queue("declared_invite")


def test_an_unknown_queue_loads_the_workers_once() -> None:
    loads = []

    def load() -> None:
        loads.append(1)
        Queue("late")

    registry.on_unknown_queue(load)
    assert registry.queue("late").name == "late"
    with pytest.raises(UnknownQueue):
        registry.queue("later")
    assert loads == [1]


@pytest.mark.parametrize("name", ["", "a b", "é", "x.dead", "-x", ".x", "x" * 101, "x\n", "a/b", "a%b"])
def test_names(name: str) -> None:
    with pytest.raises(DeclarationError, match="cannot name a queue"):
        Queue(name)


@pytest.mark.parametrize(
    "options",
    [{"max_attempts": 0}, {"max_crashes": 0}, {"max_bytes": 0}, {"backoff": -1}, {"version": 0}, {"version": 2}],
)
def test_options_of_a_queue(options: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match="queue 'q'"):
        Queue("q", dict, **options)


def test_twice() -> None:
    Queue("twice")
    with pytest.raises(DeclarationError, match="declared twice"):
        Queue("twice")

    @assign_queue("twice")
    def first(event: Any) -> None: ...

    with pytest.raises(DeclarationError, match=r"has a worker already, .*first; .*second cannot be another"):

        @assign_queue("twice")
        def second(event: Any) -> None: ...


def test_a_name_alone_declares_the_queue_by_the_annotation() -> None:
    @assign_queue("by_function")
    def work(event: Invite) -> None: ...

    @assign_queue("by_async")
    async def work_too(event: Invite) -> None: ...

    @assign_queue("by_class")
    class Work(Worker[Invite]):
        def consume(self, event: Invite) -> None: ...

    @assign_queue("by_batch")
    class Batch(BatchWorker[Invite]):
        def consume_batch(self, events: list[Invite]) -> None: ...

    @assign_queue("by_subclass")
    class Sub(Work): ...

    @assign_queue("by_nothing")
    def anything(event): ...  # type: ignore[no-untyped-def]

    for name in ("by_function", "by_async", "by_class", "by_batch", "by_subclass"):
        assert registry.queue(name).payload is Invite
    assert registry.queue("by_nothing").payload is Any
    kinds = {name: assignment.kind for name, assignment in registry.assignments().items()}
    assert kinds["by_async"] == "async"
    assert kinds["by_batch"] == "batch"
    assert kinds["by_subclass"] == "worker"


def test_a_worker_of_another_payload() -> None:
    queue = Queue("typed", Invite)
    with pytest.raises(DeclarationError, match="consumes <class 'int'>, but queue 'typed' carries"):

        @assign_queue(queue)  # type: ignore[arg-type, unused-ignore]
        def work(event: int) -> None: ...


def test_what_cannot_be_a_worker() -> None:
    class NotOne: ...

    class Unfinished(Worker[Any]): ...

    class Lazy(Worker[Any]):
        async def consume(self, event: Any) -> None: ...

    class Yields(BatchWorker[Any]):
        def consume_batch(self, events: list[Any]) -> Iterator[int]:  # type: ignore[override]
            yield 1

    def generator(event: Any) -> Iterator[int]:
        yield 1

    async def async_generator(event: Any) -> AsyncIterator[int]:
        yield 1

    def no_argument() -> None: ...

    for target, why in [
        (NotOne, "must be a Worker"),
        (7, "must be a Worker"),
        (print, "must be a Worker"),
        (Unfinished, "does not define consume"),
        (Lazy, "consume is async or a generator"),
        (Yields, "consume_batch is async or a generator"),
        (generator, "is a generator"),
        (async_generator, "is a generator"),
        (no_argument, "takes no argument"),
    ]:
        with pytest.raises(DeclarationError, match=why):
            assign_queue("never")(target)  # type: ignore[type-var]


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"concurrency": 1001},
        {"processes": 0},
        {"processes": 257},
        {"prefetch": 0},
        {"batch_size": 0},
        {"batch_size": 10_001},
        {"batch_seconds": -1},
        {"batch_seconds": float("nan")},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"recycle_events": 0},
        {"recycle_memory": 0},
    ],
)
def test_options_of_a_worker(options: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match="queue 'optional'"):

        @assign_queue("optional", **options)
        def work(event: Any) -> None: ...


def test_options_of_a_batch() -> None:
    class Batch(BatchWorker[Any]):
        def consume_batch(self, events: list[Any]) -> None: ...

    with pytest.raises(DeclarationError, match="one batch at a time"):
        assign_queue("batched", concurrency=2)(Batch)
    with pytest.raises(DeclarationError, match="no batch would ever fill"):
        assign_queue("batched2", prefetch=10, batch_size=20)(Batch)


@dataclass
class Entry:
    account: int
    note: str = ""


def test_an_order_is_by_a_field_that_exists() -> None:
    with pytest.raises(DeclarationError, match=r"'ledger'.*'acount', which is no field .*did you mean 'account'"):
        Queue("ledger", Entry, order_by="acount")
    with pytest.raises(DeclarationError, match="give a field's name, or a function"):
        Queue("ledger", Entry, order_by=7)  # type: ignore[call-overload]


def test_an_order_is_checked_against_what_the_worker_takes() -> None:
    queue: Queue[Any] = Queue("ledger", order_by="acount")
    with pytest.raises(DeclarationError, match="did you mean 'account'"):

        @assign_queue(queue)
        def book(event: Entry) -> None: ...


def test_a_batch_worker_cannot_keep_an_order() -> None:
    with pytest.raises(DeclarationError, match="'ledger' has order_by, and a batch worker"):

        @assign_queue(Queue("ledger", Entry, order_by="account"))
        class Books(BatchWorker[Entry]):
            def consume_batch(self, events: list[Entry]) -> None: ...


def test_a_key_is_text_or_a_whole_number() -> None:
    by_field = Queue("ledger", Entry, order_by="account")
    by_function = Queue("journal", Entry, order_by=lambda entry: entry.note)
    anything: Queue[Any] = Queue("anything_ordered", order_by="who")
    assert by_field.order is not None
    assert by_field.order.key(Entry(7)) == "7"
    assert by_function.order is not None
    assert by_function.order.key(Entry(7, "ä")) == "ä"
    long = by_function.order.key(Entry(7, "ä" * 200))
    assert long.startswith("blake2b:")
    assert long != by_function.order.key(Entry(7, "ä" * 201))
    assert anything.order is not None
    for wrong in ({"who": None}, {"who": 1.5}, {"who": True}, {}, [1]):
        with pytest.raises(WrongPayload, match="'anything_ordered' has no place in its order: who is"):
            anything.order.key(wrong)
