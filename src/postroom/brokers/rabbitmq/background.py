"""Work in the background of a loop, kept until it is done."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Background:
    """What goes on beside the one who started it. What it raises is a mistake of ours: the loop's handler has it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs it until it ends or ``cancel`` is called."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """Cancels all that goes on."""
        for task in list(self._tasks):
            task.cancel()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()
