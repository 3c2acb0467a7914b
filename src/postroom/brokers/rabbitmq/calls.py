"""A publish on its way: the thread that waits, and the state of each of its messages."""

import threading

from msgspec import Struct

from .confirms import ConfirmChannel, Outgoing

WAITING, WRITTEN, CONFIRMED, FAILED, UNKNOWN = range(5)


class Item(Outgoing, eq=False, kw_only=True):
    """A message of a call. ``state`` is one of the constants above; ``why`` explains FAILED and UNKNOWN;
    ``channel`` is what it was written to."""

    call: "Call"
    state: int = WAITING
    why: str = ""
    again: bool = False
    channel: ConfirmChannel | None = None


class Call:
    """One publish: the thread that made it waits until all its items are settled or it gives up."""

    def __init__(self, queue: str, delayed: bool) -> None:
        self.queue = queue
        self.delayed = delayed
        self.items: list[Item] = []
        self.ordered = False  # some of its events go to shards
        self.given_up = False
        self.why = ""
        self._left = 0
        self._gate = threading.Lock()
        self._gate.acquire()

    def expect(self, items: list[Item]) -> None:
        self.items, self._left = items, len(items)

    def wait(self, timeout: float) -> bool:
        """False if the items were not settled in time."""
        return self._gate.acquire(timeout=max(0.0, timeout))

    def settle(self, item: Item, state: int, why: str) -> None:
        """On the I/O thread, or where that has not seen the call. CONFIRMED, FAILED and UNKNOWN are final."""
        item.state, item.why = state, why
        self._left -= 1
        if self._left == 0:
            self._gate.release()


class Part(Struct, eq=False):
    """Items of one call that wait together, in order."""

    call: Call
    items: list[Item]

    def fail(self, why: str) -> None:
        """As ``Call.settle``."""
        for item in self.items:
            self.call.settle(item, FAILED, why)
