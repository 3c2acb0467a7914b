"""An async function behind a decorator that hides that it is one."""

from collections.abc import Awaitable, Callable
from typing import Any

from postroom import Queue, assign_queue

wrapped: Queue[dict[str, Any]] = Queue("wrapped", dict[str, Any], max_attempts=1)


def hidden(function: Callable[[Any], Awaitable[None]]) -> Callable[[dict[str, Any]], Any]:
    def call(event: dict[str, Any]) -> Any:
        return function(event)

    return call


@assign_queue(wrapped)
@hidden
async def work(event: Any) -> None:
    return
