"""Outcomes on their way up: successes in lists, failures at once."""

import resource
import sys
import threading
import time
from collections.abc import Callable

from .protocol import Done, Failed, Replied, Up

MOST = 100
LONGEST = 0.005
# getrusage tells kilobytes, except on macOS.
_UNIT = 1 if sys.platform == "darwin" else 1024


class Report:
    """The outcomes of one lane. Any of its threads may add to it."""

    def __init__(self, lane: int, send: Callable[[Up], None]) -> None:
        self._lane = lane
        self._send = send
        self._lock = threading.Lock()
        self._seqs: list[int] = []
        self._seconds = 0.0
        self._flushed = time.monotonic()

    def done(self, seqs: list[int], seconds: float, now: float, idle: bool) -> None:
        """These are consumed. They go up when the lane is ``idle``, or with the next ones, within 5 ms of work
        (behind a longer event the consumer reads them off the page)."""
        with self._lock:
            self._seqs += seqs
            self._seconds += seconds
            if not idle and len(self._seqs) < MOST and now - self._flushed < LONGEST:
                return
            self._flushed = now
            self._flush()

    def failed(self, failed: Failed) -> None:
        """This one is not."""
        self._at_once(failed)

    def replied(self, replied: Replied) -> None:
        """This one is, and was a request."""
        self._at_once(replied)

    def _at_once(self, outcome: Failed | Replied) -> None:
        with self._lock:
            self._flush()
            self._send(outcome)

    def flush(self) -> None:
        """Sends up what is left."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._seqs:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
            self._send(Done(self._lane, self._seqs, self._seconds, memory))
            self._seqs, self._seconds = [], 0.0
