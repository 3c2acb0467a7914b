"""What a hold's loop asks of its keeper, and what the keeper remembers of each queue."""

from asyncio import Future

from msgspec import Struct

from postroom.wire.message import Headers
from postroom.wire.reply import Reply

FIRST_PAGE = 100
LARGEST_PAGE = 1000
PLENTY = 16 * 2**20
"""Bytes in one turn from which on fewer events are taken at once."""


class Acknowledge(Struct):
    """These events, by queue, are done."""

    epoch: int
    seqs: dict[str, list[int]]


class GiveBack(Struct):
    """These events, by queue, were not started."""

    epoch: int
    seqs: dict[str, list[int]]


class Replace(Struct):
    """A copy with these headers is due in ``delay`` seconds in place of the event."""

    epoch: int
    queue: str
    seq: int
    headers: Headers
    delay: float
    answer: Future[bool]


class Bury(Struct):
    """The event goes to the dead letters with these headers."""

    epoch: int
    queue: str
    seq: int
    headers: Headers
    answer: Future[bool]


class Answer(Struct):
    """A reply goes to the caller of a request. ``expires`` is in seconds since the epoch."""

    caller: str
    id: str
    expires: float
    reply: Reply


class Note(Struct):
    """The event has these headers from now on, and stays in hand."""

    epoch: int
    seq: int
    headers: Headers
    answer: Future[bool]


class Subscribe(Struct):
    """Take events of the queue, up to ``prefetch``; 0 ends the subscription."""

    queue: str
    prefetch: int


Settlement = Acknowledge | GiveBack | Replace | Bury | Note
Order = Settlement | Answer | Subscribe


class Subscription(Struct):
    """What the keeper knows of a queue. ``prefetch`` of 0: nothing more is taken."""

    queue: str
    id: int
    prefetch: int
    held: int = 0
    empty: bool = False
    """As of the last look nothing was ready: publishers ring when that changes."""
    paused: bool = False
    waiting: bool = False
    """What the database says of it."""
    ordered: bool = False
    """Events with keys have been seen: when one leaves, another may become ready."""
    page: int = FIRST_PAGE

    def free(self) -> int:
        """How many events may be taken."""
        return max(0, self.prefetch - self.held)

    def wants(self) -> bool:
        """Whether a turn may bring events of this queue."""
        return self.held < self.prefetch and not self.empty and not self.paused

    def turn_page(self, taken: int, size: int) -> None:
        """Sets how many to take at once from the size in bytes of what was taken."""
        if size > PLENTY:
            self.page = max(1, self.page // 2)
        elif taken == self.page:
            self.page = min(LARGEST_PAGE, self.page * 2)
