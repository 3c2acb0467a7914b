"""``queue_json_request`` and its awaitable twin: ask a worker, and wait for its answer."""

import time
from collections.abc import Mapping
from typing import Any, TypeVar, overload

from postroom.errors import NoReply, PostroomError
from postroom.queues import registry
from postroom.queues.queue import Queue
from postroom.wire import headers as h
from postroom.wire.message import Header, Message
from postroom.wire.reply import Reply, returned

from . import door
from .checks import headers_of, message_of, refuse_on_a_loop

P = TypeVar("P")

LONGEST_WAIT = 86400.0


@overload
def queue_json_request(
    queue: Queue[P], payload: P, *, timeout: float = 30.0, headers: Mapping[str, Header] | None = None
) -> Any: ...
@overload
def queue_json_request(
    queue: str, payload: Any, *, timeout: float = 30.0, headers: Mapping[str, Header] | None = None
) -> Any: ...
def queue_json_request(
    queue: Queue[Any] | str,
    payload: Any,
    *,
    timeout: float = 30.0,
    headers: Mapping[str, Header] | None = None,
) -> Any:
    """Publishes one event and returns what its worker's ``consume`` returned, as plain JSON values.

    ``queue``, ``payload`` and ``headers`` are those of ``queue_json_publish``. ``timeout``: seconds to wait, up to a
    day; a request that is not begun by then never is. It is published at once, in a transaction too.

    Raises RequestFailed with the name and text of what the worker raised, which is not tried again; NoReply, a
    TimeoutError, when none came in time or can come any more: it may have run all the same; NotPublished or
    PublishUnknown within ``publish_timeout`` (5 s); and as ``queue_json_publish`` what is wrong with the call.
    """
    from concurrent.futures import Future

    refuse_on_a_loop("queue_json_request", "aqueue_json_request")
    declared, message = _request(queue, payload, timeout, headers)
    until = time.monotonic() + timeout
    reply: Future[Reply] = Future()
    try:
        door.request(declared.name, message, timeout, reply)
        return returned(declared.name, reply.result(max(0.0, until - time.monotonic())))
    except NoReply:
        raise
    except TimeoutError:
        raise _no_reply(declared.name, message, timeout) from None
    finally:
        reply.cancel()


@overload
async def aqueue_json_request(
    queue: Queue[P], payload: P, *, timeout: float = 30.0, headers: Mapping[str, Header] | None = None
) -> Any: ...
@overload
async def aqueue_json_request(
    queue: str, payload: Any, *, timeout: float = 30.0, headers: Mapping[str, Header] | None = None
) -> Any: ...
async def aqueue_json_request(
    queue: Queue[Any] | str,
    payload: Any,
    *,
    timeout: float = 30.0,
    headers: Mapping[str, Header] | None = None,
) -> Any:
    """``queue_json_request`` for async code: while it waits it takes no thread. Cancel it to give up."""
    import asyncio
    from concurrent.futures import Future

    declared, message = _request(queue, payload, timeout, headers)
    reply: Future[Reply] = Future()
    try:
        async with asyncio.timeout(timeout):
            await asyncio.to_thread(door.request, declared.name, message, timeout, reply)
            return returned(declared.name, await asyncio.wrap_future(reply))
    except NoReply:
        raise
    except TimeoutError:
        raise _no_reply(declared.name, message, timeout) from None
    finally:
        reply.cancel()


def _request(
    queue: Queue[Any] | str, payload: Any, timeout: float, headers: Mapping[str, Header] | None
) -> tuple[Queue[Any], Message]:
    declared = registry.queue(queue) if isinstance(queue, str) else queue
    if not 0 < timeout <= LONGEST_WAIT:
        raise PostroomError(
            f"timeout {timeout!r} for a request of queue {declared.name!r}: give seconds, more than 0, up to a day"
        )
    message = message_of(declared, payload, None, headers_of(declared, headers))
    message.headers.pop(h.KEY, None)  # it waits for nobody's order
    message.headers[h.DEADLINE] = message.published + timeout
    return declared, message


def _no_reply(queue: str, message: Message, timeout: float) -> NoReply:
    return NoReply(
        f"no reply within {timeout:g} s to the request {message.id} of queue {queue!r}, which may have run: look "
        "whether a consumer runs, or give it more time"
    )
