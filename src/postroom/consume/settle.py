"""Carrying out verdicts on the hold, and remembering those that could not be carried out."""

import asyncio
import logging
import random
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

from postroom.brokers.base import Delivery, Hold
from postroom.execute.protocol import Failed, QueueDeclaration, Replied
from postroom.policy import answer
from postroom.policy.verdict import (
    Ack,
    Bury,
    Limits,
    Moment,
    Reschedule,
    Verdict,
    after_crash,
    after_failure,
    in_place,
    suspected,
    too_large,
)
from postroom.wire import headers as h
from postroom.wire.message import Headers
from postroom.wire.reply import Reply

from .memory import Memory
from .order import Order

log = logging.getLogger("postroom")

_HOST = socket.gethostname()


class Settlement:
    """What becomes of events. Replacing and burying take a while; ``finish`` waits for them. ``order_of`` tells the
    order that an event has a place in: there it keeps its place until it leaves."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        hold: Hold,
        memory: Memory,
        order_of: Callable[[Delivery], Order | None],
    ) -> None:
        self._loop = loop
        self._hold = hold
        self._memory = memory
        self._order_of = order_of
        self._under_way: set[asyncio.Task[None]] = set()

    def failed(self, delivery: Delivery, void: bool, failed: Failed, declared: QueueDeclaration) -> None:
        """Not consumed."""
        verdict = after_failure(
            delivery.message, failed.kind, failed.error, failed.traceback, failed.after, _limits(declared), _moment()
        )
        if failed.kind == "drop":
            log.warning("%s %s dropped: %s", delivery.queue, delivery.message.id, failed.error)
        if failed.kind == "expired":
            log.info("%s %s is not begun: %s", delivery.queue, delivery.message.id, failed.error)
        if failed.kind == "retry" and isinstance(verdict, Reschedule):
            log.info(
                "%s %s asked for a retry in %g s: %s", delivery.queue, delivery.message.id, failed.after, failed.error
            )
        reply = answer.after_failure(failed.kind, failed.error, verdict)
        self.carry_out(delivery, verdict, void, quiet=failed.kind == "retry", reply=reply)

    def replied(self, delivery: Delivery, void: bool, replied: Replied) -> None:
        """A request is consumed."""
        self.carry_out(delivery, Ack(), void, reply=Reply({}, replied.body))

    def crashed(self, delivery: Delivery, void: bool, how: str, declared: QueueDeclaration) -> None:
        """Its executor died of it."""
        verdict = after_crash(delivery.message, how, _limits(declared), _moment())
        self.carry_out(delivery, verdict, void, reply=answer.after_burial("Crashed", verdict))

    def too_large(self, delivery: Delivery, most: int) -> None:
        """Larger than its queue allows."""
        verdict = too_large(delivery.message, most, _moment())
        self.carry_out(delivery, verdict, False, reply=answer.after_burial("TooLarge", verdict))

    def suspect(self, delivery: Delivery, delay: float = 0.0) -> None:
        """Marked, or given back marked: nothing counted."""
        self.carry_out(delivery, suspected(delivery.message, delay), False, quiet=True)

    def carry_out(
        self, delivery: Delivery, verdict: Verdict, void: bool, quiet: bool = False, reply: Reply | None = None
    ) -> None:
        """Does as the verdict says, or remembers it for when the event comes back; where the event is a request, once
        ``reply`` is on its way."""
        order = self._order_of(delivery)
        if order is not None and isinstance(verdict, Reschedule):
            verdict = in_place(delivery.message, verdict, _moment())
            quiet = quiet and isinstance(verdict, Reschedule)
        if not quiet:
            _tell(delivery, verdict)
        if reply is not None and h.REPLY_TO in delivery.message.headers:
            self._start(self._answer(delivery, verdict, void, reply))
        else:
            self._settle(delivery, verdict, void)

    async def _answer(self, delivery: Delivery, verdict: Verdict, void: bool, reply: Reply) -> None:
        if h.ERROR in reply.headers:
            log.info("%s %s is answered with %s", delivery.queue, delivery.message.id, reply.headers[h.ERROR])
        await self._hold.reply(delivery, reply)
        self._settle(delivery, verdict, void)

    def _settle(self, delivery: Delivery, verdict: Verdict, void: bool) -> None:
        order = self._order_of(delivery)
        if void:
            self._memory.remember(delivery, verdict)
        elif isinstance(verdict, Ack):
            self._hold.ack([delivery])
            if order is not None:
                order.left(delivery)
        elif order is not None and isinstance(verdict, Reschedule):
            if h.SUSPECT in delivery.message.headers and h.SUSPECT not in verdict.headers:
                self._start(self._note(delivery, verdict.headers, lambda: None))
            order.retry(delivery, verdict.headers, verdict.delay)
        else:
            self._start(self._replace(delivery, verdict))

    def note_alone(self, delivery: Delivery, act: Callable[[], None]) -> None:
        """Has the broker note, where it can, that an event with a key begins to run alone; then acts."""
        headers = {**delivery.message.headers, h.SUSPECT: delivery.returns + 1}
        self._start(self._note(delivery, headers, act))

    async def _note(self, delivery: Delivery, headers: Headers, act: Callable[[], None]) -> None:
        if await self._hold.note(delivery, headers):
            delivery.message.headers = headers
        act()

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            # What it raised is a mistake of ours, and its event would stay in hand: the loop's handler ends us.
            task.result()

    async def _replace(self, delivery: Delivery, verdict: Reschedule | Bury) -> None:
        if isinstance(verdict, Reschedule):
            kept = await self._hold.reschedule(delivery, verdict.headers, verdict.delay)
        else:
            kept = await self._hold.bury(delivery, verdict.headers)
        order = self._order_of(delivery)
        if not kept:
            self._memory.remember(delivery, verdict)
        elif order is not None:
            order.left(delivery)

    def after_these(self, act: Callable[[], None]) -> None:
        """Acts when all that is under way now is through; at once, if nothing is."""
        under_way = set(self._under_way)
        if not under_way:
            act()
            return

        async def wait() -> None:
            await asyncio.wait(under_way)
            act()

        self._start(wait())

    async def finish(self, seconds: float) -> None:
        """Waits for what is under way, so many seconds at most: the rest comes back by itself."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=seconds)


def _limits(declared: QueueDeclaration) -> Limits:
    return Limits(declared.max_attempts, declared.backoff, declared.max_crashes)


def _moment() -> Moment:
    return Moment(time.time(), _HOST, random.random())


def _tell(delivery: Delivery, verdict: Verdict) -> None:
    event_id = delivery.message.id
    if isinstance(verdict, Bury):
        log.error(
            "%s %s buried: %s; see: postroom dead show %s %s",
            delivery.queue,
            event_id,
            h.text(verdict.headers, h.REASON),
            delivery.queue,
            event_id,
            extra={"queue": delivery.queue, "event": event_id},
        )
    elif isinstance(verdict, Reschedule):
        attempt = h.number(verdict.headers, h.ATTEMPTS) + h.number(verdict.headers, h.CRASHES)
        log.warning(
            "%s %s attempt %d failed, next in %.0f s: %s",
            delivery.queue,
            event_id,
            attempt,
            verdict.delay,
            h.text(verdict.headers, h.LAST_ERROR),
            extra={"queue": delivery.queue, "event": event_id, "attempt": attempt, "next_try": verdict.delay},
        )
