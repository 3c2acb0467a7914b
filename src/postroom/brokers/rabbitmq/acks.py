"""Which deliveries of a channel can be acknowledged together. Numbers in, numbers out."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
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

    def delivered(self, tags: Sequence[int]) -> None:
        """These are in hand now, in this order."""
        self._order.extend(tags)
        self._in_hand.update(tags)

    def finish(self, tags: Iterable[int], now: float) -> None:
        """Those of them that are in hand are to be acknowledged."""
        finished = self._in_hand.intersection(tags)
        self._in_hand -= finished
        self._finished.update(dict.fromkeys(sorted(finished), now))

    def drop(self, tag: int) -> None:
        """It has been settled in another way."""
        self._in_hand.remove(tag)

    def take(self, now: float) -> tuple[int | None, list[int]]:
        """What to acknowledge: the last tag of a prefix that is finished whole, if there is one, and the tags
        that have waited too long behind an unfinished one. They count as sent."""
        prefix = None
        order, in_hand, finished = self._order, self._in_hand, self._finished
        while order and order[0] not in in_hand:
            tag = order.popleft()
            if finished.pop(tag, None) is not None:
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
