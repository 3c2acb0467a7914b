"""The thread of a hold. It owns the connection and does everything in turns, one transaction each: settle what
the loop has settled, promote what is due, take the next events. Between turns it waits for a ring, an order, the
next due time, or its half-second look around.
"""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from postroom.errors import BrokerError

from . import claim, faults, liveness, replies, wake
from .connection import CommitUnknown, Handle
from .liveness import Registered
from .mailbox import Mailbox
from .orders import Answer, Bury, Note, Order, Replace, Subscribe, Subscription
from .registration import Registration
from .reports import Reporter, Reports
from .schema import declare
from .trouble import Trouble
from .turn import Lost, Turn, enter

PATIENCE = 1.0  # how long one try waits for a locked file
LONG_LOCKED = 0.1
LAST_PATIENCE = 4.0  # the same for the last turn

log = logging.getLogger("postroom.sqlite")


class Keeper:
    """Runs the turns of one hold in a thread that never keeps the interpreter from ending."""

    def __init__(self, path: str, name: str, loop: asyncio.AbstractEventLoop, reports: Reports) -> None:
        self._path = path
        self._reports = reports
        self._reporter = Reporter(loop)
        self._thread: threading.Thread | None = None
        self._started: asyncio.Future[None] = loop.create_future()
        self._stopped: asyncio.Future[None] = loop.create_future()
        self._stopping = False
        self.mailbox = Mailbox()  # where the loop puts its orders
        # The thread's own.
        self._handle = Handle(path)
        self._registration = Registration(path, name)
        self._registered = False
        self._epoch = 0
        self._subscriptions: dict[str, Subscription] = {}
        self._orders: list[Order] = []
        self._next_due: float | None = None
        self._renewed = self._mended = self._look_at = 0.0
        self._version: tuple[int, int] | None = None
        self._trouble = Trouble()
        self._rest = 0.0

    # Called on the loop.

    def start(self) -> asyncio.Future[None]:
        """Starts the thread. The future is done when the hold is registered; it fails with BrokerError."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="postroom-sqlite-hold", daemon=True)
            self._thread.start()
        return self._started

    def stop(self) -> asyncio.Future[None]:
        """Carries out all orders, gives back what is in hand, unregisters. The future is done when that is."""
        self._stopping = True
        if self._thread is None and not self._stopped.done():
            self._stopped.set_result(None)
        self.mailbox.nudge()
        return self._stopped

    @property
    def troubled(self) -> bool:
        """The file cannot be used at present, which has been said; it is tried again."""
        return self._rest > 0

    # All below runs in the thread.

    def _run(self) -> None:
        failure: BrokerError | None = None
        try:
            while not self._stopping and not self._attempt(self._register):
                self._wait()
            while not self._stopping:
                self._wait()
                self._attempt(self._work)
        except BrokerError as error:
            failure = error
        finally:
            self._end(failure)

    def _attempt(self, act: Callable[[], None]) -> bool:
        """Does ``act``; when it fails, says so once, and has ``_wait`` rest for a while.

        Before the first registration raises BrokerError for what only a person can mend.
        """
        try:
            act()
        except (sqlite3.Error, BrokerError, OSError) as error:
            why = str(error) if isinstance(error, BrokerError) else faults.sentence(error, self._path)
            if isinstance(error, CommitUnknown) and self._registered:
                self._lose(why)  # what is in hand is not known: begin anew
            if not self._registration.id and (not isinstance(error, sqlite3.Error) or faults.for_good(error)):
                raise BrokerError(why) from error
            self._registration.be_lenient()
            self._rest = self._trouble.rest(why, faults.busy(error))
            with self._handle.lock:
                self._handle.mend(error)
            return False
        self._trouble.over(self._path)
        self._rest = 0.0
        return True

    def _wait(self) -> None:
        """Returns when there is something to do, or what was wrong may be mended."""
        rested = time.monotonic() + self._rest
        while not self._stopping:
            left = (rested if self._rest else self._next_turn()) - time.monotonic()
            if left <= 0:
                return
            self._rung(self.mailbox.sleep(left, self._registration.bell))
            self._pass_on_questions()

    def _next_turn(self) -> float:
        """When the next turn or look around is to be, by ``time.monotonic``."""
        if self._orders or any(subscription.wants() for subscription in self._subscriptions.values()):
            return 0.0
        at = min(self._look_at, self.mailbox.due())
        if self._next_due is not None:  # looked at again with each look around, so a clock that jumps does no harm
            at = min(at, time.monotonic() + self._next_due - time.time())
        return at

    def _rung(self, queues: set[int]) -> None:
        if wake.ANYTHING in queues:
            self._look_at = 0.0
        for subscription in self._subscriptions.values():
            if subscription.id in queues:
                subscription.empty = False

    def _pass_on_questions(self) -> None:
        bell = self._registration.bell
        if bell is not None and (askers := bell.asked()):
            self._reporter.post(self._reports.asked, askers)

    def _work(self) -> None:
        if not self._registered:
            self._register()
        now = time.monotonic()
        if now >= self._look_at:
            self._look_around(everyone=self._version is None)
            self._look_at = now + liveness.PROBE
        if self._registered and self._has_work():
            self._turn()

    def _has_work(self) -> bool:
        subscriptions = self._subscriptions.values()
        return (
            bool(self._orders or self.mailbox.full())
            or any(each.wants() or (each.held and self._renewal_due()) for each in subscriptions)
            or (self._next_due is not None and self._next_due <= time.time())
        )

    def _renewal_due(self) -> bool:
        return time.monotonic() >= self._renewed + liveness.RENEW

    def _register(self) -> None:
        """Enters the database, at first and after a loss, with all subscriptions."""
        with self._handle.lock:
            self._handle.connection(time.monotonic() + PATIENCE)  # makes the file, beside which the lock is
        self._registration.prepare()
        with self._handle.transaction(PATIENCE) as connection:
            new = self._registration.enter(connection)
            for subscription in self._subscriptions.values():
                subscription.id = declare(connection, subscription.queue)
                if subscription.prefetch:
                    enter(connection, subscription, new)
        self._registration.id = new
        self._registered = True
        self._version = None
        self._look_at = 0.0
        if self._started.done():
            self._reporter.post(self._reports.regained)
        self._reporter.answer(self._started, None)

    def _turn(self) -> None:
        self._take_orders()
        renew = False
        try:
            # A claim that a power cut undoes leaves its events ready, which is what they are then: only what the
            # loop has settled must be on disk. A reply need not: its request is not acknowledged before it.
            durable = not all(isinstance(order, Answer) for order in self._orders)
            with self._handle.transaction(PATIENCE, durable=durable) as connection:
                turn = Turn(connection, self._registration, self._subscriptions.values())
                turn.settle(self._orders)
                turn.take()
                renew = turn.held() > 0 and self._renewal_due()
                turn.tell(renew)
        except Lost:
            self._lose(f"the events in hand went to others: for {liveness.LEASE:g} s this process did not run")
            return
        if renew:
            self._renewed = time.monotonic()
        if any(isinstance(order, Subscribe) for order in self._orders):
            self._version, self._look_at = None, 0.0  # a new queue may be paused
        self._orders = []
        self._next_due = turn.next_due
        self._conclude(turn)

    def _take_orders(self) -> None:
        for order in self.mailbox.take():
            if isinstance(order, Subscribe | Answer) or order.epoch == self._epoch:
                self._orders.append(order)
            else:
                self._refuse(order)

    def _refuse(self, order: Order) -> None:
        """The order is for a delivery that is no longer ours."""
        if isinstance(order, Replace | Bury | Note):
            self._reporter.answer(order.answer, False)

    def _conclude(self, turn: Turn) -> None:
        self._subscriptions = turn.subscriptions
        if turn.deliveries:
            self._reporter.post(self._reports.arrived, turn.deliveries)
        for answer, value in turn.answers:
            self._reporter.answer(answer, value)
        for bells, number in turn.rings:
            wake.ring(bells, number, len(bells))

    def _look_around(self, everyone: bool) -> None:
        """Reads what others have changed, and gives back what fallen holds had in hand."""
        with self._handle.lock:
            connection = self._handle.connection(time.monotonic() + PATIENCE)
            ((changes,),) = connection.execute("PRAGMA data_version").fetchall()
            if (self._handle.openings, changes) != self._version:
                self._read_changes(connection)
                self._version = (self._handle.openings, changes)
            fallen = self._registration.fallen(connection, everyone)
            if time.monotonic() >= self._mended + liveness.RENEW:
                self._mended = time.monotonic()
                self._registration.mend(connection)
                replies.sweep(connection)
        if not self._registered:
            self._lose(f"{self._path} was replaced")
        elif fallen:
            self._strike(fallen)
        if self._reporter.unheard():
            self._stopping = True

    def _strike(self, fallen: list[Registered]) -> None:
        before = time.monotonic()
        with self._handle.transaction(PATIENCE) as connection:
            turn = Turn(connection, self._registration, self._subscriptions.values())
            if time.monotonic() - before > LONG_LOCKED:
                self._registration.be_lenient()  # the file was locked, so nobody could renew a lease
            for other in fallen:
                turn.strike(other)
            turn.look_for_bells()
        self._conclude(turn)
        self._version = None

    def _read_changes(self, connection: sqlite3.Connection) -> None:
        self._registered, self._next_due = claim.standing(connection, self._registration.id)
        self._registration.read_others(connection)
        paused = {queue for (queue,) in connection.execute("SELECT id FROM queues WHERE paused = 1").fetchall()}
        for subscription in self._subscriptions.values():
            if subscription.paused != (subscription.id in paused):
                subscription.paused = not subscription.paused
                self._reporter.post(self._reports.paused, subscription.queue, subscription.paused)
            if subscription.empty and subscription.free() and claim.ready(connection, subscription.id):
                subscription.empty = False

    def _lose(self, why: str) -> None:
        self._registered = False
        self._epoch += 1
        for order in self._orders:
            self._refuse(order)
        self._orders = [order for order in self._orders if isinstance(order, Subscribe | Answer)]
        for subscription in self._subscriptions.values():
            subscription.held = 0
        self._reporter.post(self._reports.lost, why)
        self._look_at = 0.0

    def _end(self, failure: BrokerError | None) -> None:
        """The thread's last act, also when it could not begin."""
        try:
            if self._registered:
                self._leave()
        except (sqlite3.Error, BrokerError, OSError) as error:
            log.warning("%s; events in hand come back by themselves", faults.sentence(error, self._path))
        finally:
            self._epoch += 1
            self._take_orders()
            for order in self._orders:
                self._refuse(order)
            with self._handle.lock:
                self._handle.close()
            self._registration.close()
            self.mailbox.close()
            if failure is None and not self._stopping:
                self._reporter.post(self._reports.lost, "the hold's thread has failed: see the log, and start again")
            self._reporter.fail(self._started, failure or BrokerError(f"closed before {self._path} could be used"))
            self._reporter.answer(self._stopped, None)

    def _leave(self) -> None:
        self._take_orders()
        with suppress(Lost):
            with self._handle.transaction(LAST_PATIENCE) as connection:
                turn = Turn(connection, self._registration, self._subscriptions.values())
                turn.settle(self._orders)
                turn.leave()
                turn.look_for_bells()
            self._orders = []
            self._conclude(turn)
