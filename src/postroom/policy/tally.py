"""The recent pace of a queue in one consumer: sums that forget, half of them in a quarter of a minute."""

import math

from msgspec import Struct

HALF_LIFE = 15.0


class Tally(Struct):
    """``began`` and all times by one clock, in seconds."""

    began: float
    done: int = 0
    mean: float | None = None
    latest: float | None = None
    _events: float = 0.0
    _seconds: float = 0.0

    def add(self, now: float, seconds: float, events: int) -> None:
        """``events`` more were finished, which took ``seconds`` together."""
        kept = self._kept(now)
        self._events = self._events * kept + events
        self._seconds = self._seconds * kept + seconds
        self.mean = self._seconds / self._events
        self.done += events
        self.latest = now

    def rate(self, now: float) -> float:
        """Events a second, of late."""
        window = HALF_LIFE / math.log(2) * (1 - math.pow(0.5, max(now - self.began, 1.0) / HALF_LIFE))
        return self._events * self._kept(now) / window

    def _kept(self, now: float) -> float:
        return 0.0 if self.latest is None else math.pow(0.5, max(0.0, now - self.latest) / HALF_LIFE)
