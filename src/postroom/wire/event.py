"""An event as its worker sees it: the message's metadata, without the payload."""

import time
from contextvars import ContextVar

from msgspec import Struct

from . import headers as h
from .message import Headers, Message


class Event(Struct, frozen=True):
    """What is known of the event in hand.

    ``attempt`` is 1 on the first; ``published`` and ``first_failed`` are seconds since the epoch, UTC;
    ``headers`` are the publisher's own, without Postroom's.
    """

    id: str
    queue: str
    attempt: int
    headers: Headers
    published: float
    first_failed: float | None

    @property
    def age(self) -> float:
        """Seconds since it was published."""
        return time.time() - self.published


def event_of(queue: str, message: Message) -> Event:
    """The event that ``message`` of ``queue`` carries."""
    own = message.headers
    if not own:
        return Event(message.id, queue, 1, {}, message.published, None)
    return Event(
        message.id,
        queue,
        h.number(own, h.ATTEMPTS) + 1,
        {name: value for name, value in own.items() if not name.startswith(h.PREFIX)},
        message.published,
        h.moment(own, h.FIRST_FAILED),
    )


in_hand: ContextVar[tuple[Event, ...]] = ContextVar("postroom_in_hand", default=())


def current_event() -> Event:
    """The event that is being consumed here. Raises LookupError outside ``consume``, and in a batch of several,
    where ``current_events`` tells them all."""
    events = in_hand.get()
    if len(events) != 1:
        raise LookupError(f"{len(events)} events are in hand here; current_event() is for one at a time")
    return events[0]


def current_events() -> tuple[Event, ...]:
    """The events that are being consumed here, in the order of the batch; empty outside ``consume``."""
    return in_hand.get()
