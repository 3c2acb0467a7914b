"""``process_queue --in-process``: the workers run in the consumer's own process, on its main thread.

For pdb, coverage and other debuggers: no child, no time limits, one event or batch at a time. The hold lives on a
thread beside it, so that the connection outlives a breakpoint.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from queue import SimpleQueue
from typing import Any

from postroom.brokers.base import Delivery
from postroom.brokers.connect import connect
from postroom.execute.declare import declare
from postroom.execute.inline import Inline
from postroom.execute.protocol import Failed, QueueDeclaration, Replied, Start
from postroom.policy.report import WorkerReport
from postroom.policy.verdict import Ack
from postroom.queues import registry
from postroom.wire.headers import KEY

from .choice import chosen
from .intake import Intake
from .memory import Memory
from .order import Order
from .settle import Settlement

Batch = tuple[str, list[Delivery]]


class _Feeder:
    """The hold, its listener, and the loop they live on; what is due goes to ``jobs``, one thing at a time."""

    def __init__(self, broker: str, secrets: str | None, queues: list[QueueDeclaration]) -> None:
        self.jobs: SimpleQueue[Batch | None] = SimpleQueue()
        self._intakes = {queue.name: Intake(queue) for queue in queues}
        self._busy = False
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="postroom-io", daemon=True).start()
        self._hold = connect(broker, secrets).hold(self._loop, self, "in-process")
        self._settlement: Settlement

    def open(self) -> None:
        self.call(self._open())

    async def _open(self) -> None:
        self._settlement = Settlement(self._loop, self._hold, Memory(), self._order_of)
        await self._hold.open()
        for intake in self._intakes.values():
            if intake.order is not None:
                intake.order.turn = self._turn
                intake.order.held_up = partial(self._subscribe, intake)
            self._subscribe(intake)

    def _subscribe(self, intake: Intake) -> None:
        at_once = intake.declaration.batch_size if intake.is_batch else 1
        retrying = 0 if intake.order is None else intake.order.retrying
        self._hold.subscribe(intake.name, at_once + retrying, intake.order is not None)

    def _order_of(self, delivery: Delivery) -> Order | None:
        order = self._intakes[delivery.queue].order
        return order if KEY in delivery.message.headers else None

    def _turn(self, delivery: Delivery) -> None:
        self._intakes[delivery.queue].add(delivery)
        self._loop.call_soon(self._feed)

    def settle(self, outcomes: list[tuple[Delivery, Failed | Replied | None]]) -> None:
        async def settle() -> None:
            for delivery, other in outcomes:
                if other is None:
                    self._settlement.carry_out(delivery, Ack(), False, quiet=True)
            for delivery, other in outcomes:
                if isinstance(other, Failed):
                    self._settlement.failed(delivery, False, other, self._intakes[delivery.queue].declaration)
                elif other is not None:
                    self._settlement.replied(delivery, False, other)
            self._busy = False
            self._feed()

        self.call(settle())

    def close(self) -> None:
        self.call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _close(self) -> None:
        for intake in self._intakes.values():
            self._hold.unsubscribe(intake.name)
            self._hold.give_back(intake.clear())
        await self._settlement.finish(2.0)
        await self._hold.close()

    def call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _feed(self) -> None:
        for intake in self._intakes.values():
            if self._busy or not intake.waiting:
                continue
            if not intake.is_batch or intake.batch_due():
                self._busy = True
                self.jobs.put((intake.name, intake.take(intake.declaration.batch_size if intake.is_batch else 1)))
            else:
                self._loop.call_later(max(0.001, intake.due_in()), self._feed)

    def delivered(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            intake = self._intakes[delivery.queue]
            if len(delivery.message.body) > intake.declaration.max_bytes:
                self._settlement.too_large(delivery, intake.declaration.max_bytes)
            elif intake.order is not None:
                intake.order.arrived(delivery)
            else:
                intake.add(delivery)
        self._feed()

    def lost(self, why: str) -> None:
        for queue in self._intakes:
            self.voided(queue, why, False)

    def regained(self) -> None:
        self._feed()

    def voided(self, queue: str, why: str, outlasted: bool) -> None:
        intake = self._intakes[queue]
        intake.clear()
        if intake.order is not None:
            intake.order.reset()

    def paused(self, queue: str) -> None:
        self._hold.give_back(self._intakes[queue].clear())

    def recalled(self, queue: str, which: Callable[[Delivery], bool]) -> None:
        self._hold.give_back(self._intakes[queue].recall(which))

    def reports(self) -> list[WorkerReport]:
        return []

    def resumed(self, queue: str) -> None:
        self._feed()


def run(app: str, queues: list[str] | None, flags: dict[str, str], tell: Callable[[str], None]) -> int:
    """Consumes in this process until SIGTERM or SIGINT. ``tell`` gets a line for each event. Returns the exit
    status; raises PostroomError where it cannot begin."""
    declared = declare(Start(app, flags, [], True))
    serving = chosen(declared.queues, queues)
    feeder = _Feeder(declared.broker, declared.secrets, serving)
    inline = Inline([registry.assignments()[queue.name] for queue in serving])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: feeder.jobs.put(None))
    feeder.open()
    while (job := feeder.jobs.get()) is not None:
        outcomes = inline.consume(*job)
        for delivery, other in outcomes:
            tell(f"{delivery.queue} {delivery.message.id} {other.error if isinstance(other, Failed) else 'ok'}")
        feeder.settle(outcomes)
    feeder.close()
    inline.stop()
    return 0
