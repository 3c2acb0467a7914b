"""A batch, from bytes to outcomes: when it fails it is halved until the bad events stand alone."""

import time
from typing import Any

from postroom.queues.middleware import consuming
from postroom.queues.signals import TimeLimitReached
from postroom.wire.event import event_of, in_hand
from postroom.wire.message import Message

from .guard import Guard
from .lane import Lane, Undecodable
from .outcome import failure, rubbish
from .page import FINISHED, IN_HAND, REPORTED, WAITING, Page
from .protocol import Item
from .report import Report


def consume_batch(lane: Lane, items: list[Item], page: Page, guard: Guard, report: Report) -> None:
    """Consumes a batch on the calling thread, and reports the outcome of each of its events."""
    good: list[tuple[Item, Any]] = []
    for item in items:
        try:
            good.append((item, lane.decode(item.body, item.headers)))
        except Undecodable as undecodable:
            report.failed(rubbish(lane.number, item.seq, str(undecodable), undecodable.newer))
            page.mark(item.seq, REPORTED)
    stack = [good] if good else []
    while stack:
        part = stack.pop()
        started = time.monotonic()
        error = _attempt(lane, part, page, guard)
        now = time.monotonic()
        if error is None:
            report.done([item.seq for item, _ in part], now - started, now, not stack)
        elif len(part) == 1:
            seq = part[0][0].seq
            report.failed(failure(lane.number, seq, error, now - started))
            page.mark(seq, REPORTED)
        else:
            # The first half is on top: events keep their order.
            middle = len(part) // 2
            stack += [part[middle:], part[:middle]]


def _attempt(lane: Lane, part: list[tuple[Item, Any]], page: Page, guard: Guard) -> BaseException | None:
    """Runs one part. Returns what it raised, if anything; the states in the page are right either way."""
    events = tuple(event_of(lane.name, Message(i.id, i.body, i.headers, i.published)) for i, _ in part)
    payloads = [payload for _, payload in part]
    token = in_hand.set(events)
    for item, _ in part:
        page.mark(item.seq, IN_HAND)
    error: BaseException | None = None
    try:
        try:
            around = consuming(lane.name, events)
            guard.arm(part[0][0].seq)
            if around is None:
                lane.consume(payloads)
            else:
                with around:
                    lane.consume(payloads)
        except BaseException as raised:  # noqa: BLE001 - sys.exit in a worker is a failure like any other
            error = raised
        guard.disarm()
    except TimeLimitReached as late:
        error = late
        guard.disarm()
    in_hand.reset(token)
    state = FINISHED if error is None else WAITING
    for item, _ in part:
        page.mark(item.seq, state)
    return error
