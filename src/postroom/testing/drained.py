"""What a drain did."""

from msgspec import Struct


class Drained(Struct):
    """How many events were consumed (``done``), buried as dead letters and dropped by their worker; and how many
    attempts failed and, by ``Retry``, were put off: one event may count for several."""

    done: int = 0
    failed: int = 0
    retried: int = 0
    buried: int = 0
    dropped: int = 0
