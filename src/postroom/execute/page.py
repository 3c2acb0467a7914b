"""The page of memory that consumer and executor share, so that a death tells exactly what was in hand.

The executor writes an event's state here before it calls ``consume`` and again after it; the consumer reads it
when the executor is gone, and also to see how long each slot has been busy.
"""

import mmap
import os
import struct
import tempfile
import time
from collections.abc import Iterable

STATES = 1 << 15
_MASK = STATES - 1

WAITING, IN_HAND, FINISHED, REPORTED = 0, 1, 2, 3
"""An event's states: handed down; being consumed; consumed, perhaps not yet reported; its failure reported."""

_SLOT = struct.Struct("=Qd")
"""A slot: the number of the (first) event in it, 0 when idle; and since when, by the monotonic clock, which all
processes of a machine share."""


class Page:
    """``slots`` slots, then the states of the latest 32,768 events by their number."""

    def __init__(self, fd: int, slots: int) -> None:
        self.fd = fd
        self.slots = slots
        self._states = slots * _SLOT.size
        size = self._states + STATES
        if os.fstat(fd).st_size < size:
            os.ftruncate(fd, size)
        self._map = mmap.mmap(fd, size)

    def close(self) -> None:
        """Unmaps it and closes its descriptor."""
        self._map.close()
        os.close(self.fd)

    def mark(self, seq: int, state: int) -> None:
        """Writes one event's state."""
        self._map[self._states + (seq & _MASK)] = state

    def mark_all(self, seqs: Iterable[int], state: int) -> None:
        """Writes the same state for several."""
        memory, states = self._map, self._states
        for seq in seqs:
            memory[states + (seq & _MASK)] = state

    def state(self, seq: int) -> int:
        """One event's state."""
        return self._map[self._states + (seq & _MASK)]

    def occupy(self, slot: int, seq: int) -> float:
        """From now on the slot is busy with ``seq``. Returns the time, in monotonic seconds."""
        now = time.monotonic()
        _SLOT.pack_into(self._map, slot * _SLOT.size, seq, now)
        return now

    def vacate(self, slot: int) -> None:
        """The slot is idle."""
        _SLOT.pack_into(self._map, slot * _SLOT.size, 0, 0.0)

    def occupant(self, slot: int) -> tuple[int, float]:
        """The event in the slot (0: idle) and since when, in monotonic seconds."""
        seq, since = _SLOT.unpack_from(self._map, slot * _SLOT.size)
        return seq, since


def new_page_file() -> int:
    """A descriptor of memory that has no name: gone with the last process that holds it."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("postroom-page")
    fd, path = tempfile.mkstemp(prefix="postroom-page-")
    os.unlink(path)  # noqa: PTH108
    return fd
