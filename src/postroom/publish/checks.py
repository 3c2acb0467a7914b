"""What is checked before anything is sent."""

import math
import sys
import time
from collections.abc import Mapping
from typing import Any

from postroom.errors import PostroomError, WrongPayload
from postroom.queues.queue import Queue
from postroom.wire import headers as h
from postroom.wire.message import Header, Headers, Message, new_id

LONGEST_DELAY = 365 * 86400.0
MOST_HEADERS = 32_768


def message_of(queue: Queue[Any], payload: Any, event_id: str | None, headers: Headers) -> Message:
    """A new event of this payload. Raises WrongPayload, and PostroomError for an id that cannot be one."""
    body = body_of(queue, payload)
    if event_id is None:
        event_id = new_id()
    elif not 0 < len(event_id) <= 128 or not event_id.isprintable():
        raise PostroomError(f"event_id {event_id[:130]!r} for queue {queue.name!r}: 1 to 128 printable characters")
    return Message(event_id, body, with_key(queue, body, headers), time.time())


def with_key(queue: Queue[Any], body: bytes, headers: Headers) -> Headers:
    """The headers, with the key that the event is ordered by where the queue has an order."""
    # From the body: the key is that of what the worker will see, whatever form the payload was given in.
    if queue.order is not None:
        headers[h.KEY] = queue.order.key(queue.codec.decode(body))
    return headers


def body_of(queue: Queue[Any], payload: Any) -> bytes:
    """The payload as JSON. Raises WrongPayload."""
    body = queue.codec.encode(queue.name, payload)
    if len(body) > queue.max_bytes:
        raise WrongPayload(
            f"the payload for queue {queue.name!r} is {len(body)} bytes as JSON, its max_bytes is {queue.max_bytes}; "
            "publish a reference to what is large"
        )
    return body


def headers_of(queue: Queue[Any], headers: Mapping[str, Header] | None) -> Headers:
    """The headers of a new event: the publisher's own, and the payload's version. Raises PostroomError."""
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


def seconds_of(queue: Queue[Any], delay: float) -> float:
    """The delay. Raises PostroomError."""
    if not 0 <= delay <= LONGEST_DELAY:
        raise PostroomError(f"delay {delay!r} for queue {queue.name!r}: give seconds, from 0 to a year")
    if delay and queue.order is not None:
        raise PostroomError(
            f"queue {queue.name!r} has order_by, and a delayed event has no place in an order: "
            "publish it when it is due"
        )
    return float(delay)


def refuse_on_a_loop(name: str, twin: str) -> None:
    """Raises PostroomError, which names the awaitable twin, where an event loop runs on this thread."""
    # asyncio is not imported for this: where nobody did, no loop runs.
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        raise PostroomError(f"{name} would block the running event loop: await {twin} instead")
