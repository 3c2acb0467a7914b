"""What a consumer tells of one of its queues, when it is asked."""

from msgspec import Struct


class WorkerReport(Struct, frozen=True):
    """All times are seconds before the moment of telling; None: never, or not yet known.

    ``up``: since the consumer has served the queue. ``slots``: how many events it works on side by side. ``mean``:
    what one event takes in a slot, of late. ``rate``: events a second that it finished, of late. ``in_hand``: events
    that it has taken and not finished. ``quiet``: since the latest was finished. ``emptied``: since it last found
    that nothing waits. ``problem``: why it does not consume; empty: it does, or would.
    """

    consumer: str
    queue: str
    up: float
    slots: int
    mean: float | None
    rate: float
    done: int
    in_hand: int
    quiet: float | None
    emptied: float | None
    problem: str = ""
