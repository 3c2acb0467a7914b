"""One turn of a hold: what happens within one transaction, and what follows from it once that is committed."""

import asyncio
import copy
import sqlite3
import time
from collections.abc import Iterable

from postroom.brokers.base import Delivery
from postroom.wire.headers import KEY

from . import claim, replies, wake
from .liveness import Registered
from .orders import Acknowledge, Answer, Bury, GiveBack, Note, Order, Replace, Subscribe, Subscription
from .registration import Registration
from .schema import declare


class Lost(Exception):
    """The hold was struck: what it had in hand has been given back by others."""


class Turn:
    """Works on copies of the subscriptions, so that nothing has changed when the transaction fails."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        registration: Registration,
        subscriptions: Iterable[Subscription],
    ) -> None:
        self._connection = connection
        self._registration = registration
        self._hold = registration.id
        self._returned: set[int] = set()
        self.subscriptions = {each.queue: copy.copy(each) for each in subscriptions}
        self.deliveries: list[Delivery] = []
        self.answers: list[tuple[asyncio.Future[bool], bool]] = []
        self.rings: list[tuple[list[str], int]] = []
        self.next_due: float | None = None

    def settle(self, orders: list[Order]) -> None:
        """Carries out what the loop asks for. Raises Lost."""
        registered, self.next_due = claim.standing(self._connection, self._hold)
        if not registered:
            raise Lost
        done: list[int] = []
        back: list[int] = []
        answers: list[Answer] = []
        for order in orders:
            match order:
                case Acknowledge():
                    for queue, seqs in order.seqs.items():
                        done += seqs
                        self._left(self.subscriptions[queue], len(seqs))
                case GiveBack():
                    for queue, seqs in order.seqs.items():
                        back += seqs
                        self.subscriptions[queue].held -= len(seqs)
                        self._came_back(self.subscriptions[queue].id)
                case Replace():
                    self._replace(order)
                case Bury():
                    self._left(self.subscriptions[order.queue], 1)
                    buried = claim.bury(self._connection, self._hold, order.seq, order.headers)
                    self.answers.append((order.answer, buried))
                case Answer():
                    answers.append(order)
                case Note():
                    noted = claim.note(self._connection, self._hold, order.seq, order.headers)
                    self.answers.append((order.answer, noted))
                case Subscribe():
                    self._subscribe(order)
        if answers:
            replies.insert(self._connection, answers)
            self.rings += [([caller], wake.ANYTHING) for caller in {answer.caller for answer in answers}]
        if done:
            claim.acknowledge(self._connection, self._hold, done)
        if back:
            claim.give_back(self._connection, self._hold, back)

    def take(self) -> None:
        """Takes what there is room for, delayed events that are due included."""
        now = time.time()
        if self.next_due is not None and self.next_due <= now:
            for queue in claim.promote(self._connection, now):
                self._came_back(queue)
            self.next_due = claim.standing(self._connection, self._hold)[1]
        for subscription in self.subscriptions.values():
            if subscription.wants():
                self._take(subscription)

    def tell(self, renew: bool) -> None:
        """Writes what others need to know: whether to ring here, and that the lease holds."""
        for subscription in self.subscriptions.values():
            waiting = subscription.empty and subscription.free() > 0
            if waiting != subscription.waiting:
                subscription.waiting = waiting
                claim.record_waiting(self._connection, self._hold, subscription.id, waiting)
        if renew:
            self._registration.renew(self._connection)
        self.look_for_bells()

    def look_for_bells(self) -> None:
        """Finds whom to ring for events that came back and were not taken here."""
        own = self._registration.bell.path if self._registration.bell is not None else None
        for queue in self._returned:
            bells = [bell for bell in wake.waiting(self._connection, queue) if bell != own]
            if bells and claim.ready(self._connection, queue):
                self.rings.append((bells, queue))

    def strike(self, other: Registered) -> None:
        """Gives back the events of a fallen hold."""
        for queue in self._registration.strike(self._connection, other):
            self._came_back(queue)

    def leave(self) -> None:
        """Gives back all that is in hand, and ends the registration."""
        for queue in self._registration.leave(self._connection):
            self._came_back(queue)

    def held(self) -> int:
        """How many events are in hand."""
        return sum(subscription.held for subscription in self.subscriptions.values())

    def _take(self, subscription: Subscription) -> None:
        limit = min(subscription.free(), subscription.page)
        try:
            deliveries, size = claim.take(self._connection, self._hold, subscription.id, subscription.queue, limit)
        except (sqlite3.DataError, MemoryError):  # together they are more than SQLite can pass: fewer, next turn
            if limit == 1:
                raise
            subscription.page = limit // 2
            return
        subscription.empty = len(deliveries) < limit
        subscription.ordered = subscription.ordered or any(KEY in each.message.headers for each in deliveries)
        subscription.held += len(deliveries)
        subscription.turn_page(len(deliveries), size)
        self.deliveries += deliveries

    def _replace(self, order: Replace) -> None:
        subscription = self.subscriptions[order.queue]
        self._left(subscription, 1)
        due = time.time() + order.delay if order.delay > 0 else None
        replaced = claim.replace(self._connection, self._hold, order.seq, order.headers, due)
        if due is None:
            self._came_back(subscription.id)
        elif self.next_due is None or due < self.next_due:
            self.next_due = due
        self.answers.append((order.answer, replaced))

    def _subscribe(self, order: Subscribe) -> None:
        known = self.subscriptions.get(order.queue)
        if order.prefetch == 0:
            if known is not None:
                known.prefetch = 0
                known.waiting = False
                self._connection.execute(
                    "DELETE FROM subscriptions WHERE queue = ? AND hold = ?", (known.id, self._hold)
                )
            return
        queue = declare(self._connection, order.queue)
        if known is None:
            known = self.subscriptions[order.queue] = Subscription(order.queue, queue, 0)
        if known.prefetch == 0:
            known.paused = False  # and if it is paused, the keeper will find that and say it
            enter(self._connection, known, self._hold)
        known.prefetch = order.prefetch

    def _left(self, subscription: Subscription, events: int) -> None:
        subscription.held -= events
        if subscription.ordered:
            self._came_back(subscription.id)

    def _came_back(self, queue: int) -> None:
        self._returned.add(queue)
        for subscription in self.subscriptions.values():
            if subscription.id == queue:
                subscription.empty = False


def enter(connection: sqlite3.Connection, subscription: Subscription, hold: int) -> None:
    """Writes a subscription. Within a transaction."""
    connection.execute("INSERT OR REPLACE INTO subscriptions (queue, hold) VALUES (?, ?)", (subscription.id, hold))
    subscription.empty = subscription.waiting = False
