"""``queue_json_publish`` and its kin."""

import math
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, overload

from postroom.errors import PostroomError, PublishError, WrongPayload
from postroom.queues import registry
from postroom.queues.queue import Queue
from postroom.wire import headers as h
from postroom.wire.message import Header, Headers, Message, new_id, new_ids

from .door import send

P = TypeVar("P")

LONGEST_DELAY = 365 * 86400.0
MOST_AT_ONCE = 1000
MOST_HEADERS = 32_768


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
    _refuse_on_a_loop("queue_json_publish", "aqueue_json_publish")
    declared = registry.queue(queue) if isinstance(queue, str) else queue
    message = _message(declared, payload, event_id, _checked(declared, headers))
    send(declared.name, [message], _seconds(declared, delay))
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
    message = _message(declared, payload, event_id, _checked(declared, headers))
    import asyncio

    await asyncio.to_thread(send, declared.name, [message], _seconds(declared, delay))
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

    All payloads are checked before the first is sent. Raises as ``queue_json_publish``; the error's
    ``unpublished`` holds the ids of those that are not, or may not be, in the queue.
    """
    _refuse_on_a_loop("queue_json_publish_many", "asyncio.to_thread(queue_json_publish_many, …)")
    declared = registry.queue(queue) if isinstance(queue, str) else queue
    common = _checked(declared, headers)
    seconds = _seconds(declared, delay)
    bodies = [_body(declared, payload) for payload in payloads]
    now = time.time()
    messages = [
        Message(event_id, body, _with_key(declared, body, common.copy()), now)
        for event_id, body in zip(new_ids(len(bodies)), bodies, strict=True)
    ]
    for start in range(0, len(messages), MOST_AT_ONCE):
        window = messages[start : start + MOST_AT_ONCE]
        _send_window(declared.name, window, seconds, [m.id for m in messages[start + MOST_AT_ONCE :]])
    return [message.id for message in messages]


def _send_window(queue: str, window: list[Message], delay: float, rest: list[str]) -> None:
    try:
        send(queue, window, delay)
    except PublishError as error:
        error.unpublished += tuple(rest)
        raise


def _message(queue: Queue[Any], payload: Any, event_id: str | None, headers: Headers) -> Message:
    body = _body(queue, payload)
    if event_id is None:
        event_id = new_id()
    elif not 0 < len(event_id) <= 128 or not event_id.isprintable():
        raise PostroomError(f"event_id {event_id[:130]!r} for queue {queue.name!r}: 1 to 128 printable characters")
    return Message(event_id, body, _with_key(queue, body, headers), time.time())


def _with_key(queue: Queue[Any], body: bytes, headers: Headers) -> Headers:
    # From the body: the key is that of what the worker will see, whatever form the payload was given in.
    if queue.order is not None:
        headers[h.KEY] = queue.order.key(queue.codec.decode(body))
    return headers


def _body(queue: Queue[Any], payload: Any) -> bytes:
    body = queue.codec.encode(queue.name, payload)
    if len(body) > queue.max_bytes:
        raise WrongPayload(
            f"the payload for queue {queue.name!r} is {len(body)} bytes as JSON, its max_bytes is {queue.max_bytes}; "
            "publish a reference to what is large"
        )
    return body


def _checked(queue: Queue[Any], headers: Mapping[str, Header] | None) -> Headers:
    """The headers of a new event: the publisher's own, and the payload's version."""
    fresh: Headers = {h.VERSION: queue.version} if queue.version > 1 else {}
    if not headers:
        return fresh
    for name, value in headers.items():
        _check_header(queue.name, name, value)
        fresh[name] = value
    size = sum(len(name) + len(str(value)) for name, value in fresh.items())
    if size > MOST_HEADERS:
        raise PostroomError(
            f"the headers for queue {queue.name!r} are {size} characters, {MOST_HEADERS} are the most"
        )
    return fresh


def _check_header(queue: str, name: str, value: Header) -> None:
    if not isinstance(name, str) or name.lower().startswith((h.PREFIX, "x-")) or not 0 < _length(name) <= 128:
        raise PostroomError(
            f"header {str(name)[:130]!r} for queue {queue!r}: names are text of 128 bytes at most, and those "
            f"starting with {h.PREFIX!r} or 'x-' are taken"
        )
    if not isinstance(value, str | int | float | bool):
        raise PostroomError(f"header {name!r} for queue {queue!r} must be text, a number or a bool")
    if isinstance(value, str) and not 0 <= _length(value) <= 8192:
        raise PostroomError(f"header {name!r} for queue {queue!r}: text must be UTF-8, of 8 KiB at most")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise PostroomError(f"header {name!r} for queue {queue!r} does not fit 64 bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise PostroomError(f"header {name!r} for queue {queue!r} is {value}: give a number")


def _length(text: str) -> int:
    """In bytes; -1 if UTF-8 cannot carry it."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return -1


def _seconds(queue: Queue[Any], delay: float) -> float:
    if not 0 <= delay <= LONGEST_DELAY:
        raise PostroomError(f"delay {delay!r} for queue {queue.name!r}: give seconds, from 0 to a year")
    if delay and queue.order is not None:
        raise PostroomError(
            f"queue {queue.name!r} has order_by, and a delayed event has no place in an order: "
            "publish it when it is due"
        )
    return float(delay)


def _refuse_on_a_loop(name: str, twin: str) -> None:
    # asyncio is not imported for this: where nobody did, no loop runs.
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        raise PostroomError(f"{name} would block the running event loop: await {twin} instead")
