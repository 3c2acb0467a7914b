"""What people and commands do with queues: count, look, purge, pause."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from postroom.brokers.base import Fate, Figures
from postroom.wire.message import Message

from . import claim, faults, liveness, reading, wake
from .connection import Handle
from .dead import Sweep
from .schema import BLOCKED, DELAYED, READY, declare, queue_id

PATIENCE = 5.0  # how long a locked file is waited for
PURGED_AT_ONCE = 5000  # so that publishers get their turn between

NOTHING = Figures(ready=0, in_hand=0, delayed=0, dead=0, consumers=0, oldest=None, paused=False)


class Control:
    """The broker's control methods; each raises BrokerError as ``brokers.base.Broker`` says."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._handle = Handle(path)

    def declare(self, queue: str) -> None:
        """Makes the queue where it does not exist."""
        with self._reading() as connection:
            if queue_id(connection, queue) is not None:
                return
        with self._writing() as connection:
            declare(connection, queue)

    def queues(self) -> list[str]:
        """The names of all queues."""
        with self._reading() as connection:
            return [name for (name,) in connection.execute("SELECT name FROM queues ORDER BY name").fetchall()]

    def figures(self, queue: str) -> Figures:
        """Counts by the indexes: some 20 ms for a million events. A queue that does not exist is empty.

        What a dead consumer still has in hand counts as ready: the next consumer gets it.
        """
        now = time.time()
        with self._reading() as connection:
            rows = connection.execute("SELECT id, paused FROM queues WHERE name = ?", (queue,)).fetchall()
            if not rows:
                return NOTHING
            number, paused = rows[0]
            holds = liveness.registered(connection)
            dead_holds = [hold.id for hold in holds if not liveness.alive(self._path, hold.lock)]
            takers = reading.takers(connection, number)
            counts = reading.count(connection, number, now, dead_holds)
        return Figures(
            ready=counts.ready,
            in_hand=counts.in_hand,
            delayed=counts.delayed,
            dead=counts.dead,
            consumers=len(takers.difference(dead_holds)),
            oldest=None if counts.since is None else max(0.0, now - counts.since),
            paused=bool(paused),
        )

    def bells(self, queues: Iterable[str]) -> list[str]:
        """The sockets of the consumers of these queues, once each."""
        with self._reading() as connection:
            numbers = [queue_id(connection, queue) for queue in queues]
            found = {bell for each in numbers if each is not None for bell in wake.subscribed(connection, each)}
        return sorted(found)

    def waits(self, queue: str) -> bool:
        """Whether an event is ready, or due, in a queue that is not paused."""
        due = f"SELECT EXISTS (SELECT 1 FROM events WHERE state = {DELAYED} AND due <= ? AND queue = ?)"  # noqa: S608
        with self._reading() as connection:
            rows = connection.execute("SELECT id FROM queues WHERE name = ? AND paused = 0", (queue,)).fetchall()
            if not rows:
                return False
            number = rows[0][0]
            return claim.ready(connection, number) or bool(
                connection.execute(due, (time.time(), number)).fetchall()[0][0]
            )

    def delayed(self) -> int:
        """How many events of all queues wait for their time."""
        counting = f"SELECT count(*) FROM events WHERE state = {DELAYED} AND due > ?"  # noqa: S608
        with self._reading() as connection:
            return int(connection.execute(counting, (time.time(),)).fetchall()[0][0])

    def peek(self, queue: str, limit: int) -> list[Message]:
        """The first ready events."""
        self._give_back_of_the_dead()
        with self._reading() as connection:
            number = queue_id(connection, queue)
            return [] if number is None else reading.peek(connection, number, max(0, limit), time.time())

    def purge(self, queue: str) -> int:
        """Deletes ready and delayed events."""
        self._give_back_of_the_dead()
        # The delayed first, and then the blocked: what becomes ready meanwhile is found among the ready.
        states = (DELAYED, BLOCKED, READY)
        return sum(self._delete(queue, "events", f"state = {state} AND") for state in states)

    def purge_dead(self, queue: str) -> int:
        """Deletes the dead letters."""
        return self._delete(queue, "dead", "")

    def pause(self, queue: str) -> None:
        """Stops consumption everywhere."""
        self._set_paused(queue, True)

    def resume(self, queue: str) -> None:
        """Ends a pause."""
        self._set_paused(queue, False)

    def sweep_dead(self, queue: str, judge: Callable[[Message], Fate]) -> dict[Fate, int]:
        """Asks ``judge`` about every dead letter. When it raises, its page stays and earlier ones are done."""
        with self._reading() as connection:
            number = queue_id(connection, queue)
            last = connection.execute("SELECT max(seq) FROM dead WHERE queue = ?", (number,)).fetchall()[0][0]
        if number is None or last is None:
            return dict.fromkeys(Fate, 0)
        sweep = Sweep(number, last, judge)
        while True:
            with self._reading() as connection:
                page = sweep.read(connection)
            if not page:
                return sweep.met
            judged = sweep.judge(page)
            with self._writing() as connection:
                bells = sweep.carry_out(connection, judged)
            wake.ring(bells, number, sum(fate is Fate.REQUEUE for _, _, fate in judged))

    def close(self) -> None:
        """Closes the connection; the next use opens another."""
        with self._handle.lock:
            self._handle.close()

    def _give_back_of_the_dead(self) -> None:
        """No consumer may be there to do it."""
        with self._reading() as connection:
            holds = liveness.registered(connection)
        dead = [hold for hold in holds if not liveness.alive(self._path, hold.lock)]
        if dead:
            with self._writing() as connection:
                for hold in dead:
                    liveness.strike(connection, hold.id, returns=1)
                    liveness.sweep(self._path, hold)

    def _delete(self, queue: str, table: str, which: str) -> int:
        """Deletes the rows that are there now, a page at a time."""
        with self._reading() as connection:
            number = queue_id(connection, queue)
            ((last,),) = connection.execute(f"SELECT max(seq) FROM {table}").fetchall()  # noqa: S608
        page = (
            f"DELETE FROM {table} WHERE seq IN"  # noqa: S608
            f" (SELECT seq FROM {table} WHERE {which} queue = ? AND seq <= ? LIMIT {PURGED_AT_ONCE})"
        )
        deleted = 0
        while True:
            with self._writing() as connection:
                gone = connection.execute(page, (number, last)).rowcount
            deleted += gone
            if gone < PURGED_AT_ONCE:
                return deleted

    def _set_paused(self, queue: str, paused: bool) -> None:
        with self._writing() as connection:
            number = declare(connection, queue)
            connection.execute("UPDATE queues SET paused = ? WHERE id = ?", (int(paused), number))
            bells = wake.subscribed(connection, number)
        wake.ring(bells, wake.ANYTHING, len(bells))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection whose queries see one moment."""
        with faults.spoken(self._path), self._handle.lock:
            connection = self._handle.connection(time.monotonic() + PATIENCE)
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with faults.spoken(self._path), self._handle.transaction(PATIENCE) as connection:
            yield connection
