"""Which deliveries of a channel can be acknowledged together. Numbers in, numbers out."""

from collections import OrderedDict, deque
from typing import Final

PATIENCE: Final = 0.05  # seconds that a finished one waits behind an unfinished one before it goes alone


class Acks:
    """The delivery tags of one channel, from delivery until what settles them has been sent."""

    def __init__(self) -> None:
        self._order: deque[int] = deque()  # of delivery; settled ones stay while they are behind an unfinished one
        self._in_hand: set[int] = set()
        self._finished: OrderedDict[int, float] = OrderedDict()  # and when, earliest first

    def __contains__(self, tag: int) -> bool:
        return tag in self._in_hand

    @property
    def in_hand(self) -> int:
        """How many are neither finished nor settled otherwise."""
        return len(self._in_hand)

    @property
    def unsent(self) -> int:
        """How many are finished and not yet taken."""
        return len(self._finished)

    def delivered(self, tag: int) -> None:
        self._order.append(tag)
        self._in_hand.add(tag)

    def finish(self, tag: int, now: float) -> None:
        """It is to be acknowledged."""
        self._in_hand.remove(tag)
        self._finished[tag] = now

    def drop(self, tag: int) -> None:
        """It has been settled in another way."""
        self._in_hand.remove(tag)

    def take(self, now: float) -> tuple[int | None, list[int]]:
        """What to acknowledge: the last tag of a prefix that is finished whole, if there is one, and the tags
        that have waited too long behind an unfinished one. They count as sent."""
        prefix = None
        while self._order and self._order[0] not in self._in_hand:
            tag = self._order.popleft()
            if self._finished.pop(tag, None) is not None:
                prefix = tag
        alone = []
        while self._finished:
            tag, since = next(iter(self._finished.items()))
            if now - since < PATIENCE:
                break
            del self._finished[tag]
            alone.append(tag)
        return prefix, alone

    def next_due(self) -> float | None:
        """When the earliest unsent one will have waited long enough; None when there is none."""
        for since in self._finished.values():
            return since + PATIENCE
        return None
