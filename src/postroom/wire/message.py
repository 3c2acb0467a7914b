"""A message: what a broker keeps of an event. The body is the payload as JSON and nothing else."""

import os
import time

from msgspec import Struct

Header = str | int | float | bool
Headers = dict[str, Header]


class Message(Struct, gc=False):
    """One event as the brokers see it.

    ``id`` is a ULID or whatever the publisher gave; ``body`` is the payload as JSON; ``headers`` carries the
    publisher's own headers and those of ``wire.headers``; ``published`` is in seconds since the epoch, UTC.
    """

    id: str
    body: bytes
    headers: Headers
    published: float


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]


def new_id() -> str:
    """A ULID: 26 characters that sort by time (https://github.com/ulid/spec)."""
    return new_ids(1)[0]


def new_ids(count: int) -> list[str]:
    """So many ULIDs of this millisecond, in order: each is the one before plus 1, as the specification has it."""
    pair = _PAIRS
    number = int(time.time() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    ids = []
    first, end = number, number + count
    while first < end:
        # All but the last two characters are the same for up to 1,024 in a row.
        stem = "".join([pair[first >> shift & 1023] for shift in (120, 110, 100, 90, 80, 70, 60, 50, 40, 30, 20, 10)])
        last = min(end, (first | 1023) + 1)
        ids += [stem + pair[n & 1023] for n in range(first, last)]
        first = last
    return ids
