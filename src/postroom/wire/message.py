"""A message: what a broker keeps of an event. The body is the payload as JSON and nothing else."""

import os
import time

from msgspec import Struct

Header = str | int | float | bool
Headers = dict[str, Header]


class Message(Struct):
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


_latest = (0, "")


def new_id() -> str:
    """A ULID: 26 characters that sort by time (https://github.com/ulid/spec)."""
    global _latest
    now = int(time.time() * 1000)
    pair = _PAIRS
    then, prefix = _latest
    if now != then:
        # The first ten characters are the time, the same for a whole millisecond.
        prefix = "".join([pair[now >> shift & 1023] for shift in (40, 30, 20, 10, 0)])
        _latest = now, prefix
    chance = int.from_bytes(os.urandom(10), "big")
    return (
        f"{prefix}{pair[chance >> 70]}{pair[chance >> 60 & 1023]}{pair[chance >> 50 & 1023]}"
        f"{pair[chance >> 40 & 1023]}{pair[chance >> 30 & 1023]}{pair[chance >> 20 & 1023]}"
        f"{pair[chance >> 10 & 1023]}{pair[chance & 1023]}"
    )
