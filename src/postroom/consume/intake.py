"""One queue's events in a consumer: those that wait to be handed down, and at what pace they are taken."""

import time
from collections import deque
from collections.abc import Callable

from postroom.brokers.base import Delivery
from postroom.execute.protocol import QueueDeclaration
from postroom.policy import pace
from postroom.policy.tally import Tally

from .order import Order

MOST_RETRYING = 1000
MOST_SUSPECTS = 20
WARY = 30.0  # seconds


class Intake:
    """``waiting`` holds what is taken but not handed down. ``after_outage``: the broker has been away, and what
    it hands out now came back for that reason, until an event arrives that is new. ``outlasts``: jobs take longer
    than the broker allows, so that a return says nothing. ``losses`` counts how often all that was taken became
    void. ``arrived``: something came since the watchdog looked. ``tally``: what was finished. ``emptied``: when
    nothing was found to wait in the queue, by ``time.monotonic``."""

    def __init__(self, declaration: QueueDeclaration) -> None:
        self.declaration = declaration
        self.name = declaration.name
        self.is_batch = declaration.kind == "batch"
        self.waiting: deque[Delivery] = deque()
        self.mean: float | None = None
        self.after_outage = False
        self.outlasts = False
        self._wary_until = float("-inf")
        self.losses = 0
        self.arrived = False
        self.subscribed: int | None = None
        self.stall = pace.HELD_SECONDS
        self._since: float | None = None
        self.order = Order() if declaration.ordered else None
        self.tally = Tally(time.monotonic())
        self.emptied: float | None = None

    def succeed(self, other: "Intake") -> None:
        """Takes the place of ``other``, with all that waits there."""
        self.waiting, self._since = other.waiting, other._since
        self.mean, self.stall = other.mean, other.stall
        self.after_outage, self.losses, self.arrived = other.after_outage, other.losses, other.arrived
        self.outlasts = other.outlasts
        self._wary_until = other._wary_until
        self.subscribed = other.subscribed
        self.tally, self.emptied = other.tally, other.emptied
        self.order = other.order
        other.waiting, other.order = deque(), None

    def add(self, delivery: Delivery) -> None:
        """One more that waits."""
        if not self.waiting:
            self._since = time.monotonic()
        self.waiting.append(delivery)

    def put_back(self, deliveries: list[Delivery]) -> None:
        """These wait again, ahead of all others, in their order."""
        if not self.waiting:
            self._since = time.monotonic()
        self.waiting.extendleft(reversed(deliveries))

    def clear(self) -> list[Delivery]:
        """Nothing waits any more. Returns what did."""
        return self.recall(lambda _: True)

    def recall(self, which: Callable[[Delivery], bool]) -> list[Delivery]:
        """Takes off what is not begun of those that this is true of: of some keys all or none."""
        gone = [delivery for delivery in self.waiting if which(delivery)]
        self.waiting = deque(delivery for delivery in self.waiting if not which(delivery))
        return gone if self.order is None else self.order.withdraw(gone, which)

    def take(self, most: int) -> list[Delivery]:
        """Up to ``most`` of those that wait, oldest first."""
        waiting = self.waiting
        if len(waiting) <= most:
            taken = list(waiting)
            waiting.clear()
            return taken
        taken = [waiting.popleft() for _ in range(most)]
        self._since = time.monotonic()
        return taken

    def excess(self, most: int) -> list[Delivery]:
        """Takes off what waits beyond ``most``, newest last. Of an ordered queue nothing: what is behind it would
        have to go too, and little is held ahead anyway."""
        if self.order is not None or len(self.waiting) <= most:
            return []
        return [self.waiting.pop() for _ in range(len(self.waiting) - most)][::-1]

    def batch_due(self) -> bool:
        """A batch is full, or old enough."""
        if len(self.waiting) >= self.declaration.batch_size:
            return True
        return bool(self.waiting) and self.due_in() <= 0

    def due_in(self) -> float:
        """Seconds until the oldest that waits is old enough to make a batch."""
        since = self._since if self._since is not None else time.monotonic()
        return since + self.declaration.batch_seconds - time.monotonic()

    def measured(self, seconds: float, events: int) -> None:
        """``events`` took ``seconds`` together."""
        self.mean = pace.smooth(self.mean, seconds, events)
        self.tally.add(time.monotonic(), seconds, events)

    def room(self, load: int) -> int:
        """How many events to hand to an executor that has ``load`` of this queue."""
        slots = self.declaration.concurrency
        if self.is_batch:
            size = self.declaration.batch_size
            # A second batch goes ahead only if one takes so little time that waiting for the next would show.
            ahead = size if self.mean is not None and self.mean * size < pace.AHEAD_SECONDS else 0
            return size if load <= ahead else 0
        most = slots + pace.ahead(self.mean)
        # Lists, not single events: refill when half is gone.
        return most - load if load <= most - (most - slots) // 2 - 1 else 0

    def beware(self) -> None:
        """Suspects come here, and go back until each can run alone."""
        self._wary_until = time.monotonic() + WARY

    @property
    def wary(self) -> bool:
        """Suspects were here a moment ago: little is held, so that a stop can put it all back in time."""
        return time.monotonic() < self._wary_until

    def prefetch(self, executors: int) -> int:
        """How many events to hold, with so many executors."""
        held = self._prefetch(executors)
        return min(held, MOST_SUSPECTS) if self.wary else held

    def _prefetch(self, executors: int) -> int:
        declared = self.declaration
        # What is retried in place is in hand, and must not keep other keys from coming.
        retrying = 0 if self.order is None else min(self.order.retrying, MOST_RETRYING)
        if declared.prefetch is not None:
            return declared.prefetch + retrying
        if self.is_batch:
            return min(20_000, declared.batch_size * (executors + 1))
        if self.order is not None:
            # Whoever has an event has its key: a second's work would leave other consumers without any.
            return declared.concurrency * executors + pace.ahead(self.mean) + retrying
        return pace.prefetch(self.mean, declared.concurrency * executors)
