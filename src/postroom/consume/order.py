"""Order within a key: of each key one event at a time has its turn, and those behind it wait for it to leave."""

import asyncio
from collections import deque
from collections.abc import Callable

from postroom.brokers.base import Delivery
from postroom.wire import headers as h
from postroom.wire.message import Headers, Message


class Order:
    """The events of one queue with ``order_by``, from delivery until each has left.

    ``turn`` is called with an event when it may be consumed, and again when it is to be retried; ``held_up`` when
    the number of those that wait for a retry (``retrying``) has changed. An event without a key, as a foreign
    program publishes it, has its turn at once and holds up nobody.
    """

    def __init__(self) -> None:
        self.turn: Callable[[Delivery], None]
        self.held_up: Callable[[], None] = lambda: None
        self._keys: dict[str, deque[Delivery]] = {}  # of each, the first has the turn
        self._timers: dict[str, asyncio.TimerHandle] = {}

    @property
    def retrying(self) -> int:
        """How many events wait in place for another attempt."""
        return len(self._timers)

    def arrived(self, delivery: Delivery) -> None:
        """It has been taken, after all before it of its key."""
        key = h.key(delivery.message.headers)
        if key is None:
            self.turn(delivery)
        elif key in self._keys:
            self._keys[key].append(delivery)
        else:
            self._keys[key] = deque((delivery,))
            self.turn(delivery)

    def left(self, delivery: Delivery) -> None:
        """It is done, or buried: the next of its key has its turn."""
        if self._drop(delivery):
            behind = self._keys.get(h.key(delivery.message.headers) or "")
            if behind:
                self.turn(behind[0])

    def retry(self, delivery: Delivery, headers: Headers, delay: float) -> None:
        """It has its turn again in ``delay`` seconds, with these headers; those behind it wait on."""
        message = delivery.message
        delivery.message = Message(message.id, message.body, headers, message.published)
        self.later(delivery, delay)

    def later(self, delivery: Delivery, delay: float) -> None:
        """It has its turn again in ``delay`` seconds."""
        key = h.key(delivery.message.headers)
        assert key is not None

        def due() -> None:
            del self._timers[key]
            self.turn(delivery)
            self.held_up()

        self._timers[key] = asyncio.get_running_loop().call_later(delay, due)
        self.held_up()

    def waiting(self) -> list[Delivery]:
        """The events that wait in place for another attempt."""
        return [self._keys[key][0] for key in self._timers]

    def withdraw(self, idle: list[Delivery], which: Callable[[Delivery], bool]) -> list[Delivery]:
        """Takes off what is not being consumed, of those that ``which`` is true of: ``idle``, which had its turn and
        was not begun, what waits for a retry, and all that is behind another. Returns them, those of a key in their
        order."""
        not_begun = {id(delivery) for delivery in (*idle, *self.waiting())}
        gone = [delivery for delivery in idle if h.key(delivery.message.headers) is None]
        for key, events in list(self._keys.items()):
            if not which(events[0]):
                continue
            timer = self._timers.pop(key, None)
            if timer is not None:
                timer.cancel()
            if id(events[0]) in not_begun:
                del self._keys[key]
            else:
                self._keys[key] = deque((events.popleft(),))
            gone += events
        return gone

    def forget(self, delivery: Delivery) -> None:
        """It goes back to the queue without an outcome; what was behind it has been withdrawn."""
        self._drop(delivery)

    def reset(self) -> None:
        """All that was taken is void."""
        self._cancel_all()
        self._keys.clear()

    def _cancel_all(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _drop(self, delivery: Delivery) -> bool:
        """Takes off the first of its key. False if it is not that: its delivery became void before."""
        key = h.key(delivery.message.headers)
        events = self._keys.get(key) if key is not None else None
        if key is None or not events or events[0] is not delivery:
            return False
        events.popleft()
        if not events:
            del self._keys[key]
        return True
