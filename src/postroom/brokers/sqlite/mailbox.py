"""Orders from the loop to the keeper's thread, and that thread's sleep."""

import math
import select
import socket
import time
from collections import deque
from contextlib import suppress

from .orders import Order
from .wake import Bell

ACKS_TOGETHER = 0.005
"""Seconds that an order which is in no hurry may wait for others."""


class Mailbox:
    """The loop puts, the thread takes. What is not in a hurry wakes the thread once, not once each."""

    def __init__(self) -> None:
        self._orders: deque[Order] = deque()
        self._since = math.inf
        self._hurry = self._nudged = False
        self._nudges, self._nudge = socket.socketpair()
        self._nudges.setblocking(False)
        self._nudge.setblocking(False)

    def put(self, order: Order, hurry: bool) -> None:
        """From the loop. With ``hurry`` the order is to be carried out at once."""
        self._orders.append(order)
        if hurry and not self._hurry:
            self._hurry = True
            self.nudge()
        elif not self._nudged:
            self._nudged = True
            self.nudge()

    def nudge(self) -> None:
        """From the loop: ends the thread's sleep."""
        with suppress(OSError):  # full: it is awake; closed: it has ended
            self._nudge.send(b"!")

    def full(self) -> bool:
        """Whether there are orders."""
        return bool(self._hurry or self._orders)

    def due(self) -> float:
        """When the orders are to be carried out, by ``time.monotonic``."""
        if self._hurry:
            return 0.0
        if self._orders:
            self._since = min(self._since, time.monotonic())
            return self._since + ACKS_TOGETHER
        return math.inf

    def take(self) -> list[Order]:
        """All orders. What is put from now on nudges again."""
        self._hurry = self._nudged = False
        self._since = math.inf
        taken = []
        while self._orders:
            taken.append(self._orders.popleft())
        return taken

    def sleep(self, seconds: float, bell: Bell | None) -> set[int]:
        """Until a nudge, a ring, or the time is over. Returns the numbers of the queues that were rung."""
        poll = select.poll()
        poll.register(self._nudges, select.POLLIN)
        if bell is not None:
            poll.register(bell.socket, select.POLLIN)
        rung: set[int] = set()
        for descriptor, _ in poll.poll(math.ceil(seconds * 1000)):
            if descriptor == self._nudges.fileno():
                self._nudges.recv(4096)
                if not self._orders:  # it was for orders taken before; those that follow must nudge again
                    self._nudged = False
            elif bell is not None:
                rung = bell.rung()
        return rung

    def close(self) -> None:
        """Nobody sleeps here any more."""
        self._nudge.close()
        self._nudges.close()
