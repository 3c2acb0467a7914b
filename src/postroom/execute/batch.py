"""A batch, from bytes to outcomes: when it fails it is halved until the bad events stand alone."""

import time
from typing import Any

from postroom.queues.middleware import consuming
from postroom.queues.signals import TimeLimitReached
from postroom.wire.event import event_of, in_hand
from postroom.wire.message import Message

from .guard import Guard
from .lane import Lane, Undecodable, refuse_what_never_ran
from .outcome import failure, rubbish
from .page import FINISHED, IN_HAND, REPORTED, WAITING, Page
from .protocol import Item
from .report import Report
from .request import refuse_request


def consume_batch(lane: Lane, items: list[Item], page: Page, guard: Guard, report: Report) -> None:
    """Consumes a batch on the calling thread, and reports the outcome of each of its events."""
    good: list[tuple[Item, Any]] = []
    for item in items:
        if _decode(lane, item, page, guard, report, good):
            page.mark(item.seq, WAITING)
        else:
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


def _decode(lane: Lane, item: Item, page: Page, guard: Guard, report: Report, good: list[tuple[Item, Any]]) -> bool:
    """Adds an event with its payload to ``good``, or reports why not. Decoding runs the application's code too
    (upgrade, validators), so it is limited, and blamed, as consume is."""
    error: BaseException
    started = time.monotonic()
    try:
        try:
            page.mark(item.seq, IN_HAND)
            guard.arm(item.seq)
            if item.headers:
                refuse_request(lane.name, item.headers)
            payload = lane.decode(item.body, item.headers)
        except BaseException as raised:  # noqa: BLE001 - a validator may raise anything
            error = raised
            guard.disarm()
        else:
            guard.disarm()
            good.append((item, payload))
            return True
    except TimeLimitReached as late:
        error = late
        guard.disarm()
    if isinstance(error, Undecodable):
        report.failed(rubbish(lane.number, item.seq, str(error), error.newer))
    else:
        report.failed(failure(lane.number, item.seq, error, time.monotonic() - started))
    return False


def _attempt(lane: Lane, part: list[tuple[Item, Any]], page: Page, guard: Guard) -> BaseException | None:
    """Runs one part. Returns what it raised, if anything; the states in the page are right either way."""
    events = tuple(event_of(lane.name, Message(i.id, i.body, i.headers, i.published)) for i, _ in part)
    payloads = [payload for _, payload in part]
    token = in_hand.set(events)
    seqs = [item.seq for item, _ in part]
    page.mark_all(seqs, IN_HAND)
    error: BaseException | None = None
    try:
        try:
            guard.arm(seqs[0])
            around = consuming(lane.name, events)
            if around is None:
                returned = lane.consume(payloads)
            else:
                with around:
                    returned = lane.consume(payloads)
            if returned is not None:
                refuse_what_never_ran(returned)
        except BaseException as raised:  # noqa: BLE001 - sys.exit in a worker is a failure like any other
            error = raised
        guard.disarm()
    except TimeLimitReached as late:
        error = late
        guard.disarm()
    in_hand.reset(token)
    page.mark_all(seqs, FINISHED if error is None else WAITING)
    return error
