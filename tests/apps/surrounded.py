"""Middleware around every consume and publish."""

from collections.abc import Iterator
from typing import Any

from postroom import BatchWorker, Queue, assign_queue
from postroom.queues.middleware import around_consume, around_publish
from postroom.wire.event import Event
from postroom.wire.message import Message

from .acts import ACTS, Act, act, note

HASTE: dict[str, Any] = {"backoff": 0.02, "max_attempts": 2}

single: Queue[Act] = Queue("single", Act, **HASTE)
several: Queue[Act] = Queue("several", Act, **HASTE)
asynchronous: Queue[Act] = Queue("asynchronous", Act, **HASTE)


@around_consume
def told(queue: str, events: tuple[Event, ...]) -> Iterator[None]:
    if any(event.headers.get("refuse") for event in events):
        raise PermissionError("not this one")
    try:
        yield
    except BaseException as error:
        note("around", queue=queue, ids=[event.id for event in events], error=type(error).__name__)
        raise
    note("around", queue=queue, ids=[event.id for event in events], error=None)


@around_publish
def stamped(queue: str, messages: list[Message]) -> Iterator[None]:
    for message in messages:
        message.headers["stamp"] = "s"
    yield


assign_queue(single)(act)


@assign_queue(several, batch_size=3, batch_seconds=0.05)
class Several(BatchWorker[Act]):
    def consume_batch(self, events: list[Act]) -> None:
        for event in events:
            ACTS[event.get("do", "ok")](event)


@assign_queue(asynchronous)
async def work(event: Act) -> None:
    ACTS[event.get("do", "ok")](event)
