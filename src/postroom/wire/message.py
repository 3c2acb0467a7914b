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


def new_id(now: float | None = None) -> str:
    """A ULID: 26 characters that sort by time (https://github.com/ulid/spec)."""
    milliseconds = int((time.time() if now is None else now) * 1000)
    number = milliseconds << 80 | int.from_bytes(os.urandom(10))
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
