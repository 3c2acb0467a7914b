"""``queue_json_publish`` and its kin."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, overload

from postroom.queues import registry
from postroom.queues.queue import Queue
from postroom.wire.message import Header, Message, new_ids

from .checks import body_of, headers_of, message_of, refuse_on_a_loop, seconds_of, with_key
from .door import send

P = TypeVar("P")


@overload
def queue_json_publish(
    queue: Queue[P],
    payload: P,
    *,
    delay: float = 0,
    event_id: str | None = None,
    headers: Mapping[str, Header] | None = None,
) -> str: ...
@overload
def queue_json_publish(
    queue: str,
    payload: Any,
    *,
    delay: float = 0,
    event_id: str | None = None,
    headers: Mapping[str, Header] | None = None,
) -> str: ...
def queue_json_publish(
    queue: Queue[Any] | str,
    payload: Any,
    *,
    delay: float = 0,
    event_id: str | None = None,
    headers: Mapping[str, Header] | None = None,
) -> str:
    """Publishes one event and returns its id once the broker has it on disk.

    ``payload``: of the queue's type, or, with a queue's name, a mapping of its fields. ``delay``: seconds until
    it is due, up to a year; not for a queue with ``order_by``. ``event_id``: yours, 1 to 128 printable characters,
    to publish the same again after PublishUnknown; by default a new ULID. ``headers``: metadata that travels along.

    Raises WrongPayload or UnknownQueue before anything is sent; NotPublished when it is certainly not in the
    queue, PublishUnknown when it may be, both within ``publish_timeout`` (5 s); PostroomError on a running
    event loop, which it would block.
    """
    refuse_on_a_loop("queue_json_publish", "aqueue_json_publish")
    declared = registry.queue(queue) if isinstance(queue, str) else queue
    message = message_of(declared, payload, event_id, headers_of(declared, headers))
    send(declared.name, [message], seconds_of(declared, delay))
    return message.id


@overload
async def aqueue_json_publish(
    queue: Queue[P],
    payload: P,
    *,
    delay: float = 0,
    event_id: str | None = None,
    headers: Mapping[str, Header] | None = None,
) -> str: ...
@overload
async def aqueue_json_publish(
    queue: str,
    payload: Any,
    *,
    delay: float = 0,
    event_id: str | None = None,
    headers: Mapping[str, Header] | None = None,
) -> str: ...
async def aqueue_json_publish(
    queue: Queue[Any] | str,
    payload: Any,
    *,
    delay: float = 0,
    event_id: str | None = None,
    headers: Mapping[str, Header] | None = None,
) -> str:
    """``queue_json_publish`` for async code: waits for the broker in a thread, with the context kept."""
    declared = registry.queue(queue) if isinstance(queue, str) else queue
    message = message_of(declared, payload, event_id, headers_of(declared, headers))
    import asyncio

    await asyncio.to_thread(send, declared.name, [message], seconds_of(declared, delay))
    return message.id


@overload
def queue_json_publish_many(
    queue: Queue[P], payloads: Iterable[P], *, delay: float = 0, headers: Mapping[str, Header] | None = None
) -> list[str]: ...
@overload
def queue_json_publish_many(
    queue: str, payloads: Iterable[Any], *, delay: float = 0, headers: Mapping[str, Header] | None = None
) -> list[str]: ...
def queue_json_publish_many(
    queue: Queue[Any] | str,
    payloads: Iterable[Any],
    *,
    delay: float = 0,
    headers: Mapping[str, Header] | None = None,
) -> list[str]:
    """Publishes many events in order, by windows of 1,000, and returns their ids once all are on disk.

    All payloads are checked before the first is sent. Raises as ``queue_json_publish``, with ``publish_timeout`` for
    each window; none is begun after one that failed, and the error's
    ``unpublished`` holds the ids of those that are not, or may not be, in the queue.
    """
    refuse_on_a_loop("queue_json_publish_many", "asyncio.to_thread(queue_json_publish_many, …)")
    declared = registry.queue(queue) if isinstance(queue, str) else queue
    common = headers_of(declared, headers)
    seconds = seconds_of(declared, delay)
    bodies = [body_of(declared, payload) for payload in payloads]
    now = time.time()
    messages = [
        Message(event_id, body, with_key(declared, body, common.copy()), now)
        for event_id, body in zip(new_ids(len(bodies)), bodies, strict=True)
    ]
    send(declared.name, messages, seconds)
    return [message.id for message in messages]
