"""Consuming in the calling process: no child, no time limits. For debuggers, coverage and tests."""

import asyncio
from collections.abc import Sequence

from postroom.brokers.base import Delivery
from postroom.queues.assign import Assignment

from .batch import consume_batch
from .guard import Guard
from .lane import Lane
from .page import Page, new_page_file
from .protocol import Done, Failed, Item, Replied, Up
from .report import Report
from .single import consume_one
from .tasks import AsyncLane


class Inline:
    """The workers of ``assignments``, made and started here."""

    def __init__(self, assignments: Sequence[Assignment]) -> None:
        self.lanes = {a.queue.name: Lane(number, a) for number, a in enumerate(assignments)}
        self._page = Page(new_page_file(), 1)
        self._said: list[Up] = []
        self._next_seq = 1

    def consume(self, queue: str, deliveries: Sequence[Delivery]) -> list[tuple[Delivery, Failed | Replied | None]]:
        """Consumes the deliveries of one queue on the calling thread, as one batch where its worker is for
        batches. Returns each with what failed, or its reply if it is a request, or None. An async worker gets
        an event loop of its own, so it cannot be called on a running one."""
        lane = self.lanes[queue]
        by_seq = {}
        items = []
        for delivery in deliveries:
            seq, self._next_seq = self._next_seq, self._next_seq + 1
            message = delivery.message
            by_seq[seq] = delivery
            items.append(Item(seq, message.id, message.body, message.headers, message.published))
        guard = Guard(self._page, 0, None)
        report = Report(lane.number, self._said.append)
        if lane.kind == "batch":
            consume_batch(lane, items, self._page, guard, report)
        elif lane.kind == "async":
            asyncio.run(self._async(lane, items, guard, report))
        else:
            for item in items:
                consume_one(lane, item, self._page, guard, report, True)
        report.flush()
        return self._outcomes(by_seq)

    async def _async(self, lane: Lane, items: list[Item], guard: Guard, report: Report) -> None:
        tasks = AsyncLane(lane, self._page, [guard], report)
        tasks.put(items)
        await tasks.drained()

    def _outcomes(self, by_seq: dict[int, Delivery]) -> list[tuple[Delivery, Failed | Replied | None]]:
        outcomes: list[tuple[Delivery, Failed | Replied | None]] = []
        for message in self._said:
            if isinstance(message, Done):
                outcomes += [(by_seq[seq], None) for seq in message.seqs]
            elif isinstance(message, Failed | Replied):
                outcomes.append((by_seq[message.seq], message))
        self._said.clear()
        return outcomes

    def stop(self) -> None:
        """Lets the workers close what they opened."""
        for lane in self.lanes.values():
            lane.stop()
        self._page.close()
