"""The events that a consumer has, and what is done with each: acknowledged, failed, given back, remembered."""

import asyncio

from msgspec import Struct

from postroom.brokers.base import Delivery, Hold
from postroom.execute.protocol import Failed, Replied
from postroom.policy.verdict import Ack
from postroom.wire import headers as h

from .child import Child
from .intake import Intake
from .memory import Key, Memory, key
from .order import Order
from .settle import Settlement
from .team import Team


class Place(Struct, frozen=True):
    """Where a queue is worked on: its team, its lane there, its intake."""

    team: Team
    lane: int
    intake: Intake


class Desk:
    """``places`` by the queue's name. ``running`` tells which executor still consumes an event whose delivery is
    void, so that the outcome can settle it when it is delivered again."""

    def __init__(self, loop: asyncio.AbstractEventLoop, hold: Hold) -> None:
        self.places: dict[str, Place] = {}
        self.memory = Memory()
        self.hold = hold
        self.settlement = Settlement(loop, hold, self.memory, self.order_of)
        self._running: dict[Key, tuple[Child, int]] = {}

    def acknowledge(self, child: Child, seqs: list[int]) -> None:
        """These are done."""
        done, void = child.settle(seqs)
        for delivery in void:
            self._forget_running(delivery)
            self.memory.remember(delivery, Ack())
        if done:
            self.hold.ack(done)
        for delivery in done:
            if delivery.message.headers and (order := self.order_of(delivery)) is not None:
                order.left(delivery)

    def failed(self, child: Child, message: Failed) -> None:
        """This one was not consumed."""
        entry = child.settled(message.seq)
        if entry is not None:
            lane, delivery, void = entry
            self._forget_running(delivery)
            self.settlement.failed(delivery, void, message, child.lanes[lane])

    def replied(self, child: Child, message: Replied) -> None:
        """This one was a request, and is consumed."""
        entry = child.settled(message.seq)
        if entry is not None:
            _, delivery, void = entry
            self._forget_running(delivery)
            self.settlement.replied(delivery, void, message)

    def crashed(self, delivery: Delivery, void: bool, how: str) -> None:
        """This one killed its executor."""
        self._forget_running(delivery)
        self.settlement.crashed(delivery, void, how, self.places[delivery.queue].intake.declaration)

    def give_back(self, deliveries: list[Delivery]) -> None:
        """Not begun: back to the queue. A marked one is replaced, so that its return is not held against it."""
        plain = []
        for delivery in deliveries:
            order = self.order_of(delivery)
            if order is not None:
                order.forget(delivery)
            if order is None and h.marked(delivery.message.headers):
                self.settlement.suspect(delivery)
            else:
                self.memory.returned(delivery)
                plain.append(delivery)
        if plain:
            self.hold.give_back(plain)

    def order_of(self, delivery: Delivery) -> Order | None:
        """The order that the event has a place in."""
        if h.KEY not in delivery.message.headers:
            return None
        return self.places[delivery.queue].intake.order

    def void(self, child: Child, queue: str | None = None) -> None:
        """The connection is lost, or one queue's channel: what is outstanding of it in this executor will be
        delivered again."""
        for seq, (_, delivery) in child.outstanding.items():
            if seq not in child.void and queue in (None, delivery.queue):
                child.void.add(seq)
                self.memory.returned(delivery)
                self._running[key(delivery)] = (child, seq)

    def attach(self, delivery: Delivery) -> bool:
        """True if the event is still being consumed: its outcome will settle this delivery."""
        running = self._running.pop(key(delivery), None)
        if running is None:
            return False
        child, seq = running
        entry = child.outstanding.get(seq)
        if entry is None:  # its executor died meanwhile, or never began it
            return False
        child.outstanding[seq] = (entry[0], delivery)
        child.void.discard(seq)
        return True

    def _forget_running(self, delivery: Delivery) -> None:
        if self._running:
            self._running.pop(key(delivery), None)
