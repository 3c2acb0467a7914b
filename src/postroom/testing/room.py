"""A test's own queues."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, overload

from postroom.brokers.memory import MemoryBroker
from postroom.errors import NoReply, PostroomError
from postroom.queues import registry
from postroom.queues.middleware import around_publish
from postroom.queues.queue import Queue
from postroom.settings import override
from postroom.wire.message import Message

from .application import django_is_used, load_workers
from .drain import Drain
from .drained import Drained
from .transaction import TestTransaction

P = TypeVar("P")

URL = "memory://postroom-testing"
VARIABLE = "POSTROOM_BROKER"


class Room:
    """What a test sees of the queues. It begins empty and is forgotten at the test's end."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._published: list[tuple[str, bytes]] = []
        self._transaction = TestTransaction()

    @overload
    def published(self, queue: Queue[P]) -> list[P]: ...
    @overload
    def published(self, queue: str) -> list[Any]: ...
    def published(self, queue: Queue[Any] | str) -> list[Any]:
        """All payloads that were published to ``queue`` in this test, in order, consumed since or not; decoded,
        as a worker gets them. Raises UnknownQueue.

        In a test that is a transaction, what it was to do on commit is done first."""
        declared = registry.queue(queue) if isinstance(queue, str) else queue
        self._transaction.commit()
        return [declared.codec.decode(body) for name, body in self._published if name == declared.name]

    def drain(self, raises: bool = True) -> Drained:
        """Runs the workers, here, until all queues that have one are empty.

        The events take the way they take in production, through JSON and middleware, retries and burials; what
        is delayed or retried is due at once, in order. There are no time limits. What a worker raises is
        raised here, after it has been counted and the event has been put off or buried; with ``raises=False``
        it only counts. Raises PostroomError when there is no end to it (10,000 runs), and on a running event
        loop, where ``adrain`` belongs.
        """
        if asyncio._get_running_loop() is not None:
            raise PostroomError("drain() would block the running event loop: await adrain() instead")
        load_workers()
        self._transaction.commit()
        return Drain(self._broker, raises, self._transaction.commit).run()

    async def adrain(self, raises: bool = True) -> Drained:
        """``drain`` for async tests: it runs on another thread; in Django on the one that has the test's
        transaction."""
        if django_is_used():
            from asgiref.sync import sync_to_async

            return await sync_to_async(self.drain)(raises)
        return await asyncio.to_thread(self.drain, raises)

    def answer(self, queue: str, identity: str) -> None:
        """A request of the code under test: its queue is drained here and now. A worker's error is its answer."""
        load_workers()
        Drain(self._broker, False, self._transaction.commit, only=queue).run()
        self._broker.unanswered(
            identity, NoReply(f"the queue {queue!r} has no worker in this test, or it is paused: nobody can reply")
        )

    def record(self, queue: str, messages: list[Message]) -> None:
        """These were published."""
        self._published += [(queue, message.body) for message in messages]


_room: Room | None = None


@around_publish
def _record(queue: str, messages: list[Message]) -> Iterator[None]:
    yield
    if _room is not None:
        _room.record(queue, messages)


def current_room() -> Room:
    """The one that is open. Raises PostroomError where none is."""
    if _room is None:
        raise PostroomError("no test is running that has queues of its own")
    return _room


@contextmanager
def open_room() -> Iterator[Room]:
    """Puts queues in memory in the place of the settings' broker. Inside another it is that one."""
    global _room
    if _room is not None:
        yield _room
        return
    broker = MemoryBroker(URL)
    broker.reset()
    # In the environment, so that neither a command of the test's nor a child can reach the real one by mistake.
    before = os.environ.get(VARIABLE)
    _set_broker(URL)
    _room = Room(broker)
    broker.when_asked(_room.answer)
    try:
        yield _room
    finally:
        _room = None
        broker.when_asked(None)
        _set_broker(before)
        broker.reset()


def _set_broker(url: str | None) -> None:
    if url is None:
        del os.environ[VARIABLE]
    else:
        os.environ[VARIABLE] = url
    override(broker=None)  # tells that settings have changed
