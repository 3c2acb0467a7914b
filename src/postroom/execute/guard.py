"""Soft time limits: raising TimeLimitReached inside a consume that has run too long.

The consumer process keeps the time, by the page, and signals; nothing is paid for it on the way of an event.
"""

import ctypes
import threading
from collections.abc import Callable

from postroom.queues.signals import TimeLimitReached

from .page import Page


class Guard:
    """One slot's limit. ``arm`` before consume, ``disarm`` right after it: then nothing is raised any more."""

    def __init__(self, page: Page, slot: int, timeout: float | None) -> None:
        self._page = page
        self._slot = slot
        self.timeout = timeout
        # Re-entrant: the signal's handler may interrupt the very thread that holds it.
        self._lock = threading.RLock()
        self._armed = False
        self._fired = False
        self.interrupt: Callable[[], None] = self._interrupt_thread
        self._thread = threading.get_ident()

    def arm(self, seq: int) -> float:
        """The calling thread begins on ``seq``. Returns the time, in monotonic seconds."""
        self._thread = threading.get_ident()
        self._fired = False
        started = self._page.occupy(self._slot, seq)
        self._armed = True
        return started

    def disarm(self) -> bool:
        """Consume is over. True if the limit had been reached."""
        with self._lock:
            self._armed = False
        if self._fired and self._thread != threading.main_thread().ident:
            # Raised in this thread but perhaps not yet seen by it: take it back.
            _raise_in_thread(self._thread, None)
        self._page.vacate(self._slot)
        return self._fired

    def enforce(self, now: float) -> None:
        """Raises in the consume if it is over its limit. Called on the main thread, by the signal's handler."""
        if self.timeout is None:
            return
        with self._lock:
            seq, since = self._page.occupant(self._slot)
            if self._armed and not self._fired and seq and now - since >= self.timeout:
                self._fired = True
                self.interrupt()

    def _interrupt_thread(self) -> None:
        if self._thread == threading.main_thread().ident:
            raise TimeLimitReached(f"over its limit of {self.timeout:g} s")
        _raise_in_thread(self._thread, TimeLimitReached)


def _raise_in_thread(thread: int, error: type[BaseException] | None) -> None:
    """Has ``error`` raised at the thread's next bytecode; None takes back what has not been raised yet.
    (https://docs.python.org/3/c-api/init.html#c.PyThreadState_SetAsyncExc)"""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), None if error is None else ctypes.py_object(error)
    )
