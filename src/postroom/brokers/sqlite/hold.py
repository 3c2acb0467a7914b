"""The loop's side of a hold: it knows what is in hand, and passes orders to the keeper's thread."""

import asyncio
import time
from collections.abc import Sequence

from postroom.brokers.base import Delivery, Listener
from postroom.wire import headers as h
from postroom.wire.message import Headers
from postroom.wire.reply import Reply

from . import asking
from .control import Control
from .keeper import Keeper
from .orders import Acknowledge, Answer, Bury, GiveBack, Note, Replace, Subscribe

CLOSING = 5.0
UNCLAIMED = 60.0  # seconds that a reply is kept where its request names no deadline


class SQLiteHold:
    """A consumer's grip on events in a SQLite file: see ``brokers.base.Hold``."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop, listener: Listener, name: str) -> None:
        self._loop = loop
        self._listener = listener
        self._in_hand: dict[int, Delivery] = {}
        self._counts: dict[str, int] = {}
        self._prefetch: dict[str, int] = {}
        self._epoch = 0
        self._closed = False
        self._keeper = Keeper(path, name, loop, self)
        self._control = Control(path)

    async def open(self) -> None:
        """Connects. Raises BrokerError when the file cannot be used; waits while it is locked or the disk full."""
        await asyncio.shield(self._keeper.start())

    def subscribe(self, queue: str, prefetch: int, ordered: bool = False) -> None:
        """Takes events of ``queue``, holding at most ``prefetch`` unsettled ones."""
        self._prefetch[queue] = prefetch
        self._keeper.mailbox.put(Subscribe(queue, prefetch), hurry=True)

    def unsubscribe(self, queue: str) -> None:
        """Takes no more events of ``queue``."""
        if self._prefetch.pop(queue, None) is not None:
            self._keeper.mailbox.put(Subscribe(queue, 0), hurry=True)

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """These are done."""
        seqs = self._let_go(deliveries)
        if seqs:
            hurry = any(self._counts[queue] * 2 <= self._prefetch.get(queue, 0) for queue in seqs)
            self._keeper.mailbox.put(Acknowledge(self._epoch, seqs), hurry)

    async def reschedule(self, delivery: Delivery, headers: Headers, delay: float) -> bool:
        """Replaces the event by a copy with these headers, due in ``delay`` seconds, in one transaction."""
        if not self._let_go([delivery]):
            return False
        answer: asyncio.Future[bool] = self._loop.create_future()
        order = Replace(self._epoch, delivery.queue, delivery.tag, headers, delay, answer)
        self._keeper.mailbox.put(order, hurry=True)
        return await answer

    async def bury(self, delivery: Delivery, headers: Headers) -> bool:
        """Moves the event to the queue's dead letters with these headers, in one transaction."""
        if not self._let_go([delivery]):
            return False
        answer: asyncio.Future[bool] = self._loop.create_future()
        self._keeper.mailbox.put(Bury(self._epoch, delivery.queue, delivery.tag, headers, answer), hurry=True)
        return await answer

    async def reply(self, delivery: Delivery, reply: Reply) -> None:
        """Puts the reply where its caller looks for it, in a transaction ahead of the acknowledgement or with it."""
        headers = delivery.message.headers
        expires = h.moment(headers, h.DEADLINE) or time.time() + UNCLAIMED
        caller, identity = h.text(headers, h.REPLY_TO), h.text(headers, h.CORRELATION) or delivery.message.id
        self._keeper.mailbox.put(Answer(caller, identity, expires, reply), hurry=True)

    async def note(self, delivery: Delivery, headers: Headers) -> bool:
        """Writes these headers onto the event, in one transaction."""
        if self._in_hand.get(delivery.tag) is not delivery:
            return False
        answer: asyncio.Future[bool] = self._loop.create_future()
        self._keeper.mailbox.put(Note(self._epoch, delivery.tag, headers, answer), hurry=True)
        return await answer

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """These were not started: back to where they were, nothing counted."""
        seqs = self._let_go(deliveries)
        if seqs:
            self._keeper.mailbox.put(GiveBack(self._epoch, seqs), hurry=True)

    @property
    def in_hand_limit(self) -> None:
        """The lease is renewed for as long as it takes."""
        return None

    async def owed(self, queue: str) -> int:
        """1 if anything waits here that this hold may take."""
        if self._keeper.troubled or self._counts.get(queue, 0) >= self._prefetch.get(queue, 0):
            return 0
        return int(await self._loop.run_in_executor(None, self._control.waits, queue))

    def resubscribe(self, queue: str) -> None:
        """Has the keeper look again."""
        if queue in self._prefetch:
            self._keeper.mailbox.put(Subscribe(queue, self._prefetch[queue]), hurry=True)

    async def close(self) -> None:
        """Sends what is still to be sent, gives back what is in hand, and disconnects. Within 5 seconds."""
        self._closed = True
        self._in_hand.clear()
        # A disk that does not answer is left behind: the lock ends with the process, and the events come back.
        closing = self._loop.run_in_executor(None, self._control.close)
        await asyncio.wait([self._keeper.stop(), closing], timeout=CLOSING)

    def _let_go(self, deliveries: Sequence[Delivery]) -> dict[str, list[int]]:
        """The numbers of those that are in hand, by queue. They are so no longer."""
        seqs: dict[str, list[int]] = {}
        for delivery in deliveries:
            tag = delivery.tag
            if self._in_hand.get(tag) is delivery:
                del self._in_hand[tag]
                if delivery.queue in seqs:
                    seqs[delivery.queue].append(tag)
                else:
                    seqs[delivery.queue] = [tag]
        for queue, gone in seqs.items():
            self._counts[queue] -= len(gone)
        return seqs

    # What the keeper reports, on the loop.

    def arrived(self, deliveries: list[Delivery]) -> None:
        """Events were taken. Those of a queue unsubscribed meanwhile go back."""
        if self._closed:
            return
        for delivery in deliveries:
            self._in_hand[delivery.tag] = delivery
            self._counts[delivery.queue] = self._counts.get(delivery.queue, 0) + 1
        unwanted = [delivery for delivery in deliveries if delivery.queue not in self._prefetch]
        if unwanted:
            self.give_back(unwanted)
            deliveries = [delivery for delivery in deliveries if delivery.queue in self._prefetch]
        if deliveries:
            self._listener.delivered(deliveries)

    def lost(self, why: str) -> None:
        """What was in hand is no longer ours."""
        self._epoch += 1
        self._in_hand.clear()
        self._counts.clear()
        if not self._closed:
            self._listener.lost(why)

    def regained(self) -> None:
        """Registered again."""
        if not self._closed:
            self._listener.regained()

    def asked(self, askers: list[str]) -> None:
        """Somebody wants to know how it goes."""
        if not self._closed:
            asking.answer(self._listener.reports(), askers)

    def paused(self, queue: str, paused: bool) -> None:
        """The queue's pause began or ended."""
        if self._closed or queue not in self._prefetch:
            return
        if paused:
            self._listener.paused(queue)
        else:
            self._listener.resumed(queue)
