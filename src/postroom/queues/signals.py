"""What a worker may raise to say what shall become of an event."""


class Signal(Exception):
    """The base of the three; no failure."""


class Retry(Signal):
    """Later again: a snooze, which costs no attempt. ``after``: seconds."""

    def __init__(self, reason: str = "", *, after: float) -> None:
        if not 0 <= after <= 365 * 86400:
            raise ValueError(f"Retry(after={after!r}): give seconds, from 0 to a year")
        super().__init__(reason or f"the worker asked for a retry in {after:g} s")
        self.after = after


class Bury(Signal):
    """To the dead letters, now: no retry could mend it. ``reason`` is kept with it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class Drop(Signal):
    """Away with it: it is acknowledged, and ``reason`` is logged."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "the worker dropped it")


class TimeLimitReached(BaseException):
    """Raised inside ``consume`` when its ``timeout`` is over, and counted as a failed attempt.

    No ``Exception``, so that a worker's ``except Exception`` does not swallow it.
    """
