"""What the keeper's thread tells the loop."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from postroom.brokers.base import Delivery


class Reports(Protocol):
    """What the keeper calls, always on the loop."""

    def arrived(self, deliveries: list[Delivery]) -> None:
        """Events were taken."""

    def lost(self, why: str) -> None:
        """Nothing taken so far is ours any more."""

    def regained(self) -> None:
        """Taking events goes on after a loss."""

    def paused(self, queue: str, paused: bool) -> None:
        """A queue's pause began or ended."""

    def asked(self, askers: list[str]) -> None:
        """The owners of these sockets want to know how it goes."""


class Reporter:
    """Calls from the thread to the loop, in order. ``unheard`` once the loop was closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._unheard = False

    def unheard(self) -> bool:
        """Whether there is nobody left to work for."""
        return self._unheard or self._loop.is_closed()

    def post(self, call: Callable[..., object], *values: object) -> None:
        """Has the loop call it."""
        try:
            self._loop.call_soon_threadsafe(call, *values)
        except RuntimeError:
            self._unheard = True

    def answer(self, future: asyncio.Future[Any], value: object) -> None:
        """Resolves a future, unless it was cancelled."""
        self.post(_answer, future, value)

    def fail(self, future: asyncio.Future[Any], error: Exception) -> None:
        """Fails a future that has no result yet."""
        self.post(_fail, future, error)


def _answer(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # whoever asked may be gone; without this asyncio would complain
