"""Something that lives on an event loop in a thread of its own: one a process, made when it is needed."""

import asyncio
import atexit
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

EXIT_TIMEOUT: Final = 1.0


class Living(Protocol):
    """What lives there: ``run`` lasts until it is cancelled, then ``close`` says goodbye."""

    async def run(self) -> None: ...

    async def close(self) -> None: ...


L = TypeVar("L", bound=Living)


class Resident(Generic[L]):
    """``make`` is given the loop; it is called at the first ``get``, and again after ``close`` and in a child."""

    def __init__(self, name: str, make: Callable[[asyncio.AbstractEventLoop], L]) -> None:
        self._name = name
        self._make = make
        self._lock = threading.Lock()
        self._thread: _Thread[L] | None = None
        _residents.add(self)

    def get(self) -> L:
        """The one of this process."""
        with self._lock:
            if self._thread is None or not self._thread.alive:
                self._thread = _Thread(self._name, self._make)
            return self._thread.living

    def close(self) -> None:
        """Ends it, within a second."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()

    def after_fork(self) -> None:
        """In the child: the parent's thread is not here, and its connection is not ours."""
        if self._thread is not None:
            # Kept for ever: its loop, collected, would take its sockets out of the epoll set it shares with the
            # parent's, which would never wake again.
            _left_to_the_parent.append(self._thread)
        self._lock = threading.Lock()
        self._thread = None


class _Thread(Generic[L]):
    def __init__(self, name: str, make: Callable[[asyncio.AbstractEventLoop], L]) -> None:
        self._loop = asyncio.new_event_loop()
        self.living = make(self._loop)
        self._keeper = self._loop.create_task(self.living.run())
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        if self.alive:
            self._loop.call_soon_threadsafe(self._keeper.cancel)
            self._thread.join(EXIT_TIMEOUT)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._keeper)
        except asyncio.CancelledError:
            self._loop.run_until_complete(self.living.close())
        self._loop.close()


_residents: "weakref.WeakSet[Resident[Any]]" = weakref.WeakSet()
_left_to_the_parent: list[_Thread[Any]] = []


def _in_child() -> None:
    for resident in list(_residents):
        resident.after_fork()


def _at_exit() -> None:
    for resident in list(_residents):
        resident.close()


os.register_at_fork(after_in_child=_in_child)
atexit.register(_at_exit)
