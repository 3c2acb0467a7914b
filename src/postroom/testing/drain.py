"""Running the workers until nothing is left: the consumer's part, played on one thread by a clock that jumps."""

import random
from collections.abc import Callable
from typing import Any

from postroom.brokers.base import Delivery
from postroom.brokers.memory import MemoryBroker
from postroom.errors import PostroomError
from postroom.execute.inline import Inline
from postroom.execute.lane import Lane
from postroom.execute.protocol import Failed, Replied
from postroom.policy import answer
from postroom.policy.verdict import Ack, Limits, Moment, Reschedule, after_failure, in_place
from postroom.queues import registry
from postroom.queues.assign import Assignment
from postroom.wire.event import current_events
from postroom.wire.headers import key
from postroom.wire.reply import Reply

from .application import django_is_used
from .drained import Drained

MOST = 10_000
FIRST_STEP = 0.01


class NotConsumed(PostroomError):
    """An event failed in a test without an exception of its worker's: it could not be decoded, or what surrounds
    the worker raised."""


class Drain:
    """One drain, of one queue alone if ``only`` names it. ``commit`` is called whenever the test's code has run."""

    def __init__(
        self, broker: MemoryBroker, raises: bool, commit: Callable[[], None], only: str | None = None
    ) -> None:
        self._broker = broker
        self._only = only
        self._raises = raises
        self._commit = commit
        self._drained = Drained()
        self._inlines: dict[str, Inline] = {}
        self._errors: dict[str, BaseException] = {}
        self._in_place: list[tuple[float, Assignment, Delivery]] = []  # to be retried, and when, before its followers

    def run(self) -> Drained:
        """Runs it. Raises what a worker raised, or PostroomError when there is no end to it."""
        try:
            for _ in range(MOST):
                if not (self._consume_what_is_due() or self._advance()):
                    return self._drained
        finally:
            for inline in self._inlines.values():
                inline.stop()
        raise PostroomError(
            f"the queues are not empty after {MOST:,} runs; does a worker publish to its own queue, or raise Retry, "
            f"without end? So far: {self._drained}"
        )

    def _consume_what_is_due(self) -> bool:
        """One event or batch of the first queue that has one. False if none has."""
        for retry in self._in_place:
            if retry[0] <= self._broker.clock():
                self._in_place.remove(retry)
                self._consume(retry[1], [retry[2]])
                return True
        for name, assignment in self._assignments().items():
            size = assignment.options.batch_size if assignment.kind == "batch" else 1
            deliveries = self._broker.take(name, size)
            if deliveries:
                self._consume(assignment, deliveries)
                return True
        return False

    def _advance(self) -> bool:
        """Moves the clock on to where something is due. False if nothing is delayed."""
        names = list(self._assignments())
        step = FIRST_STEP
        while self._in_place or any(self._broker.figures(name).delayed for name in names):
            # Small steps first, so that what is due earlier is consumed earlier.
            self._broker.advance(step)
            step *= 2
            now = self._broker.clock()
            if any(due <= now for due, _, _ in self._in_place):
                return True
            if any(self._broker.free(name) for name in names):
                return True
        return any(self._broker.free(name) for name in names)

    def _assignments(self) -> dict[str, Assignment]:
        return {name: each for name, each in registry.assignments().items() if self._only in (None, name)}

    def _consume(self, assignment: Assignment, deliveries: list[Delivery]) -> None:
        name = assignment.queue.name
        if name not in self._inlines:
            self._inlines[name] = inline = Inline([assignment])
            self._watch(inline.lanes[name])
        self._errors.clear()
        first: BaseException | None = None
        for delivery, failed in self._inlines[name].consume(name, deliveries):
            if failed is None:
                self._broker.ack([delivery])
                self._drained.done += 1
                continue
            if isinstance(failed, Replied):
                self._broker.reply(delivery, Reply({}, failed.body))
                self._broker.ack([delivery])
                self._drained.done += 1
                continue
            self._settle(assignment, delivery, failed)
            error = self._errors.get(delivery.message.id)
            if isinstance(error, KeyboardInterrupt):
                raise error
            if first is None and failed.kind in ("failed", "rubbish", "newer"):
                first = error or NotConsumed(f"{name} {delivery.message.id}: {failed.error}\n{failed.traceback}")
        self._commit()
        if first is not None and self._raises:
            raise first

    def _watch(self, lane: Lane) -> None:
        """Has the lane keep what its worker raises: outcomes carry text alone."""
        consume, errors = lane.consume, self._errors

        def keep(error: BaseException) -> None:
            # Of a batch, only what a single event raises is its own.
            events = current_events()
            if len(events) == 1:
                errors[events[0].id] = error

        def watched(payload: Any) -> Any:
            try:
                return consume(payload)
            except BaseException as error:
                keep(error)
                raise

        async def watched_async(payload: Any) -> Any:
            try:
                return await consume(payload)
            except BaseException as error:
                keep(error)
                raise

        if lane.kind != "async":
            lane.consume = watched
        elif django_is_used():
            from asgiref.sync import async_to_sync

            # So that its queries are made on this thread, in the test's transaction.
            lane.kind, lane.consume = "function", async_to_sync(watched_async)
        else:
            lane.consume = watched_async

    def _settle(self, assignment: Assignment, delivery: Delivery, failed: Failed) -> None:
        queue = assignment.queue
        limits = Limits(queue.max_attempts, queue.backoff, queue.max_crashes)
        moment = Moment(self._broker.clock(), "test", random.random())
        verdict = after_failure(
            delivery.message, failed.kind, failed.error, failed.traceback, failed.after, limits, moment
        )
        ordered = queue.order is not None and key(delivery.message.headers) is not None
        if ordered and isinstance(verdict, Reschedule):
            verdict = in_place(delivery.message, verdict, moment)
        reply = answer.after_failure(failed.kind, failed.error, verdict)
        if reply is not None:
            self._broker.reply(delivery, reply)
        drained = self._drained
        if failed.kind == "retry":
            drained.retried += 1
        elif failed.kind not in ("bury", "drop", "expired"):
            drained.failed += 1
        if isinstance(verdict, Ack):
            self._broker.ack([delivery])
            drained.dropped += failed.kind in ("drop", "expired")
        elif ordered and isinstance(verdict, Reschedule):
            delivery.message.headers = verdict.headers
            self._in_place.append((moment.now + verdict.delay, assignment, delivery))
        elif isinstance(verdict, Reschedule):
            self._broker.reschedule(delivery, verdict.headers, verdict.delay)
        else:
            self._broker.bury(delivery, verdict.headers)
            drained.buried += 1
