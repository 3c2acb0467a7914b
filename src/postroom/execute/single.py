"""One event, from its bytes to its outcome."""

import time

from postroom.queues.middleware import consuming
from postroom.queues.signals import TimeLimitReached
from postroom.wire.event import event_of, in_hand
from postroom.wire.message import Message
from postroom.wire.reply import encoded

from .guard import Guard
from .lane import Lane, Undecodable, refuse_what_never_ran
from .outcome import failure, rubbish
from .page import FINISHED, IN_HAND, REPORTED, Page
from .protocol import Item, Replied
from .report import Report
from .request import is_request


def consume_one(lane: Lane, item: Item, page: Page, guard: Guard, report: Report, idle: bool) -> None:
    """Consumes one event on the calling thread, and reports its outcome. ``idle``: no other waits behind it."""
    seq = item.seq
    started = time.monotonic()
    error: BaseException
    try:
        try:
            # Decoding runs the application's code too (upgrade, validators), so it is limited, and blamed, likewise.
            page.mark(seq, IN_HAND)
            started = guard.arm(seq)
            asked = bool(item.headers) and is_request(item.headers)
            payload = lane.decode(item.body, item.headers)
            event = event_of(lane.name, Message(item.id, item.body, item.headers, item.published))
            token = in_hand.set((event,))
            around = consuming(lane.name, (event,))
            if around is None:
                returned = lane.consume(payload)
            else:
                with around:
                    returned = lane.consume(payload)
            if returned is not None:
                refuse_what_never_ran(returned)
            reply = encoded(returned) if asked else None
        except Undecodable as undecodable:
            guard.disarm()
            report.failed(rubbish(lane.number, seq, str(undecodable), undecodable.newer))
            page.mark(seq, REPORTED)
            return
        except BaseException as raised:  # noqa: BLE001 - sys.exit in a worker is a failure like any other
            guard.disarm()
            error = raised
        else:
            guard.disarm()
            if reply is not None:
                in_hand.reset(token)
                report.replied(Replied(lane.number, seq, reply, time.monotonic() - started))
                page.mark(seq, REPORTED)
                return
            page.mark(seq, FINISHED)
            in_hand.reset(token)
            now = time.monotonic()
            report.done([seq], now - started, now, idle)
            return
    except TimeLimitReached as late:
        # Raised between the end of consume and disarm.
        error = late
        guard.disarm()
    in_hand.set(())
    report.failed(failure(lane.number, seq, error, time.monotonic() - started))
    page.mark(seq, REPORTED)
