"""Reaping: which executor has ended, and how."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator

from .child import Child


class Children:
    """All executors of this consumer. ``on_death(child, status)`` is called once for each that ends, with the
    exit status, or the signal's number below zero."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_death: Callable[[Child, int], None]) -> None:
        self._by_pid: dict[int, Child] = {}
        self._on_death = on_death
        loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def add(self, child: Child) -> Child:
        """Watches one more."""
        self._by_pid[child.pid] = child
        return child

    def __iter__(self) -> Iterator[Child]:
        return iter(list(self._by_pid.values()))

    def __len__(self) -> int:
        return len(self._by_pid)

    def _reap(self) -> None:
        # Any child: as the first process of a container we inherit orphans, and nobody else would reap them.
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._by_pid.pop(pid, None)
            if child is not None:
                code = os.waitstatus_to_exitcode(status)
                child.process.returncode = code
                child.bury_remains()
                self._on_death(child, code)
                child.close()
