"""The way in: whoever publishes while another thread's transaction runs shares the next one."""

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from postroom.brokers.base import WINDOW
from postroom.errors import BrokerError, NotPublished, PublishError, PublishUnknown
from postroom.wire.headers import key
from postroom.wire.message import Headers, Message

from . import faults, wake
from .connection import Handle
from .schema import DELAYED, READY, begin, declare

INSERT = "INSERT INTO events (queue, state, due, published, id, headers, body, key) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
Row = tuple[int, int, float | None, float, str, str | None, bytes, str | None]

RING_WHEN_DUE_WITHIN = 2.0
"""Seconds: what is due later is found in time by the holds' own poll."""

LISTENING = 0.05
"""Seconds after which a waiting thread looks whether nobody leads, should the one before it have been killed by an
exception from outside just before it called the next."""

SHARED = 500
"""How many calls share one transaction at most, so that it stays short."""


def encoded(headers: Headers) -> str | None:
    """Headers as they are kept: JSON, or NULL where there are none."""
    return msgspec.json.encode(headers).decode() if headers else None


class _Call(Struct, eq=False):
    queue: str
    messages: Sequence[Message]
    headers: list[str | None]
    due: float | None
    deadline: float
    timeout: float
    taken: bool = False
    """A transaction with it is under way."""
    given_up: bool = False
    done: bool = False
    called: threading.Event | None = None
    """Set when it is done, or when its thread is to lead. Made only where it has to wait."""
    error: PublishError | None = None


class Publisher:
    """Publishes from all threads of the process through one connection.

    Holding the connection's lock is being the leader: it commits for all who wait, and then calls the next.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._handle = Handle(path)
        self._queues: dict[str, int] = {}
        self._opening = 0
        self._begin_anew()

    def publish(self, queue: str, messages: Sequence[Message], delay: float, timeout: float) -> None:
        """As ``Broker.publish``. The timeout cannot cut short a disk that does not answer."""
        if self._pid != os.getpid():
            self._begin_anew()
        for start in range(0, len(messages), WINDOW):
            try:
                self._publish(queue, messages[start : start + WINDOW], delay, timeout)
            except PublishError as error:
                error.unpublished += tuple(message.id for message in messages[start + WINDOW :])
                raise

    def _publish(self, queue: str, messages: Sequence[Message], delay: float, timeout: float) -> None:
        headers = [encoded(message.headers) for message in messages]
        due = time.time() + delay if delay > 0 else None
        call = _Call(queue, messages, headers, due, time.monotonic() + timeout, timeout)
        self._waiting.append(call)
        while not call.done:
            if self._handle.lock.acquire(blocking=False):
                try:
                    if not call.done:
                        self._lead()
                finally:
                    self._handle.lock.release()
                self._call_next()
            elif time.monotonic() >= call.deadline:
                self._give_up(call)
            elif call.called is None:
                call.called = threading.Event()  # and look again: it may have been called before it could hear
            else:
                call.called.wait(min(LISTENING, max(0.0, call.deadline - time.monotonic())))
                call.called.clear()
        if call.error is not None:
            raise call.error

    def close(self) -> None:
        """Closes the connection; the next publish opens another."""
        with self._handle.lock:
            self._handle.close()

    def _begin_anew(self) -> None:
        """Also in the child of a fork, where what the parent's threads waited for is none of ours."""
        self._pid = os.getpid()
        self._waiting: deque[_Call] = deque()
        self._taking = threading.Lock()

    def _call_next(self) -> None:
        try:
            called = self._waiting[0].called
        except IndexError:  # nobody waits
            return
        if called is not None:
            called.set()

    def _give_up(self, call: _Call) -> None:
        with self._taking:
            call.given_up = not call.taken
        if call.given_up:
            call.done = True
            call.error = self._not_published(call, f"{self._path} was busy for {call.timeout:g} s: try again later")
        elif self._handle.lock.acquire(timeout=1.0):  # its transaction is being written
            self._handle.lock.release()
        elif not call.done:
            call.done = True
            call.error = PublishUnknown(
                f"{_named(call)} may or may not be published: the disk that holds {self._path} does not answer; "
                f"publish again with the same event_id",
                [message.id for message in call.messages],
            )

    def _lead(self) -> None:
        """Commits for those who wait. The caller's own call may remain, when its time is not yet over."""
        with self._taking:
            calls = [call for call in list(self._waiting)[:SHARED] if not call.given_up]
            for call in calls:
                call.taken = True
        try:
            self._commit_or_split(calls)
        finally:
            with self._taking:
                for call in calls:
                    call.taken = False
                    if call.done and call.called is not None:
                        call.called.set()
                while self._waiting and (self._waiting[0].done or self._waiting[0].given_up):
                    self._waiting.popleft()

    def _commit_or_split(self, calls: list[_Call]) -> None:
        try:
            self._commit(calls)
        except (sqlite3.Error, BrokerError, UnicodeError, OverflowError, TypeError) as error:
            self._handle.mend(error)
            if faults.busy(error):
                for call in calls:
                    if time.monotonic() >= call.deadline - 0.01:
                        self._fail(call, error)
            elif len(calls) == 1:
                self._fail(calls[0], error)
            else:  # one may be at fault, or be too large for the room that is left: each its own transaction
                for call in calls:
                    self._commit_or_split([call])

    def _commit(self, calls: list[_Call]) -> None:
        connection = self._handle.connection(min(call.deadline for call in calls))
        if self._opening != self._handle.openings:
            self._opening = self._handle.openings
            self._queues = {}
        begin(connection, min(call.deadline for call in calls))
        numbers: dict[str, int] = {}
        try:
            for call in calls:
                self._insert(connection, call, numbers)
            bells = {name: wake.waiting(connection, number) for name, number in numbers.items()}
        except BaseException:
            _roll_back(connection)
            raise
        self._write(connection, calls)
        self._queues.update(numbers)
        for name, number in numbers.items():
            if bells[name]:
                enough = sum(_to_ring(call) for call in calls if call.queue == name)
                if enough:
                    wake.ring(bells[name], number, enough)

    def _insert(self, connection: sqlite3.Connection, call: _Call, numbers: dict[str, int]) -> None:
        number = numbers.get(call.queue) or self._queues.get(call.queue) or declare(connection, call.queue)
        numbers[call.queue] = number
        state = READY if call.due is None else DELAYED
        rows: list[Row] = [
            (number, state, call.due, message.published, message.id, headers, message.body, key(message.headers))
            for message, headers in zip(call.messages, call.headers, strict=True)
        ]
        if len(rows) == 1:
            connection.execute(INSERT, rows[0])
        else:
            connection.executemany(INSERT, rows)

    def _write(self, connection: sqlite3.Connection, calls: list[_Call]) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            # A failed flush may have left a whole transaction in the log, which a later start would find. When
            # the disk is full the log lacks its last frame, and what lacks that is ignored.
            unknown = faults.kind(error) == sqlite3.SQLITE_IOERR
            _roll_back(connection)
            if not unknown:
                raise
            self._handle.close()
            for call in calls:
                call.error = PublishUnknown(
                    f"{_named(call)} may or may not be published: {faults.sentence(error, self._path)}; "
                    f"then publish again with the same event_id",
                    [message.id for message in call.messages],
                )
                call.done = True
        except BaseException:
            # An exception from outside, such as a time limit's, came between: the connection knows what happened.
            if connection.in_transaction:
                _roll_back(connection)
            else:
                _done(calls)
            raise
        else:
            _done(calls)

    def _fail(self, call: _Call, error: Exception) -> None:
        why = str(error) if isinstance(error, BrokerError) else faults.sentence(error, self._path)
        call.error = self._not_published(call, why)
        call.error.__cause__ = error
        call.done = True

    def _not_published(self, call: _Call, why: str) -> NotPublished:
        return NotPublished(f"{_named(call)} not published: {why}", [message.id for message in call.messages])


def _named(call: _Call) -> str:
    events = f"event {call.messages[0].id}" if len(call.messages) == 1 else f"{len(call.messages)} events"
    return f"queue {call.queue!r}: {events}"


def _to_ring(call: _Call) -> int:
    """How many holds it takes for this call: a delayed event only has to be known of by one."""
    if call.due is None:
        return len(call.messages)
    return 1 if call.due - time.time() < RING_WHEN_DUE_WITHIN else 0


def _done(calls: list[_Call]) -> None:
    for call in calls:
        call.done = True


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
