"""What a queue with one consumer may do: where each event is, and what of it is certain."""

from msgspec import Struct

from postroom.brokers.base import Delivery, Fate
from postroom.wire import headers as past
from postroom.wire.message import Headers, Message

from .site import Site

WAITING = "waiting"  # ready or delayed
IN_HAND = "in hand"
DEAD = "dead"
GONE = "gone"
MAYBE = "gone, or back with a crash that its acknowledgement had not outrun"

UNDERWAY = 0.2
"""Seconds after which an acknowledgement has reached the broker."""


class Event(Struct):
    """``place`` orders the queue, None where the order is not certain; ``due`` is not before that time;
    ``crashes`` counts since its latest publish."""

    headers: Headers
    state: str
    due: float
    delayed: bool
    place: int | None
    crashes: int = 0
    given_back: bool = False
    acknowledged: float = 0.0


class Model:
    """The events of one queue. ``dead`` has the ids of the dead letters, oldest first."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._events: dict[str, Event] = {}
        self._place = 0
        self.dead: list[str] = []

    def published(self, messages: list[Message], delay: float, now: float) -> None:
        for message in messages:
            self._events[message.id] = Event(
                message.headers, WAITING, now + delay, delay > 0, None if delay else self._next()
            )

    def delivered(self, delivery: Delivery, now: float) -> None:
        assert delivery.message.id in self._events, "an event that was never published, or was dropped"
        event = self._events[delivery.message.id]
        if event.state == MAYBE:
            event.crashes += 1
        assert event.state in (WAITING, MAYBE), f"delivered while it was {event.state}"
        assert delivery.message.headers == event.headers
        assert now >= event.due - 0.01, "too early"
        if event.state == WAITING and event.place is not None:
            ahead = [one for one in self._of(WAITING) if one.place is not None and one.place < event.place]
            assert not ahead, "delivered before an older one"
        if event.crashes:
            assert delivery.returns >= 1, "a return was not counted"
        elif not (event.given_back and self._site.counts_give_back):
            assert delivery.returns == 0, "counted without a return"
        event.state, event.delayed = IN_HAND, False

    def acknowledged(self, delivery: Delivery, now: float) -> None:
        event = self._events[delivery.message.id]
        event.state, event.acknowledged = GONE, now

    def rescheduled(self, delivery: Delivery, headers: Headers, delay: float, now: float) -> None:
        self.published([Message(delivery.message.id, b"", headers, 0)], delay, now)

    def buried(self, delivery: Delivery, headers: Headers) -> None:
        self._events[delivery.message.id] = Event(headers, DEAD, 0, False, None)
        self.dead.append(delivery.message.id)

    def given_back(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            event = self._events[delivery.message.id]
            event.given_back = True
            self._returned(event)

    def crashed(self, now: float) -> None:
        for event in self._of(IN_HAND):
            event.crashes += 1
            self._returned(event)
        for event in self._of(GONE):
            if now - event.acknowledged < UNDERWAY:
                event.state = MAYBE

    def closed(self) -> None:
        """The consumer has given back what it held."""
        for event in self._of(IN_HAND):
            event.given_back = True
            self._returned(event)

    def peeked(self, ids: list[str], limit: int) -> None:
        assert len(ids) >= min(limit, self.certainly_ready())
        assert len(set(ids)) == len(ids) <= limit
        places = []
        for id in ids:
            event = self._events[id]
            assert event.state in (WAITING, MAYBE), f"peek shows what is {event.state}"
            places.append(event.place)
        certain = [place for place in places if place is not None]
        assert certain == sorted(certain), "peek shows them in another order"
        if self._site.counts_give_back:
            # What RabbitMQ's peek has looked at was given back: counted, and behind what was given back before.
            for event in self._of(WAITING):
                if event.given_back and not self._site.keeps_place:
                    event.place = None
            for id in ids:
                self._events[id].given_back = True

    def purged(self) -> None:
        for event in self._of(WAITING):
            event.state, event.acknowledged = GONE, 0.0

    def swept(self, letter: Message, fate: Fate) -> None:
        assert letter.headers == self._events[letter.id].headers
        if fate is Fate.KEEP:
            return
        self.dead.remove(letter.id)
        if fate is Fate.DROP:
            del self._events[letter.id]
        else:
            self.published([Message(letter.id, b"", past.revived(letter.headers), 0)], 0, 0)

    def waiting(self) -> int:
        return len(self._of(WAITING))

    def most_waiting(self) -> int:
        return len(self._of(WAITING)) + len(self._of(MAYBE))

    def certainly_ready(self) -> int:
        """How many wait that have never been delayed, or have been seen since."""
        return sum(not event.delayed for event in self._of(WAITING))

    def check_all_met(self) -> None:
        lost = [id for id, event in self._events.items() if event.state == WAITING]
        assert not lost, f"lost: {lost}"

    def _of(self, state: str) -> list[Event]:
        return [event for event in self._events.values() if event.state == state]

    def _returned(self, event: Event) -> None:
        event.state = WAITING
        if not self._site.keeps_place:
            event.place = None

    def _next(self) -> int:
        self._place += 1
        return self._place
