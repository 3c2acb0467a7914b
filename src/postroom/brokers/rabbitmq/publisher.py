"""Publishing from any thread, and after a fork: one connection a process, on an I/O thread of its own."""

import asyncio
import atexit
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from postroom.errors import NotPublished, PublishUnknown, Unsupported
from postroom.settings import rabbitmq_password
from postroom.wire.message import Message

from . import delays, messages, topology
from .address import Address
from .calls import CONFIRMED, UNKNOWN, WRITTEN, Call, Item
from .connecting import connect
from .io import Link
from .sender import Sender

EXIT_TIMEOUT: Final = 1.0
MAX_BODY: Final = 16 * 2**20  # bytes: over a larger one RabbitMQ 4 closes the channel


class Publisher:
    """Nothing is opened before the first publish."""

    def __init__(self, address: Address, url: str, secrets: str | None) -> None:
        self._address = address
        self._url = url
        self._secrets = secrets
        self._lock = threading.Lock()
        self._thread: _Thread | None = None
        _publishers.add(self)

    def publish(self, queue: str, given: Sequence[Message], delay: float, timeout: float) -> None:
        """As ``Broker.publish``."""
        deadline = time.monotonic() + timeout
        call = Call(queue, delayed=delay > 0)
        sender = self._sender()
        call.expect(_items(call, given, delay, sender))
        if not given:
            return
        sender.submit(call)
        in_time = False
        try:
            in_time = call.wait(deadline - time.monotonic())
        finally:
            states = [(item, item.state) for item in call.items] if in_time else sender.give_up(call)
        _judge(call, states, timeout)

    def close(self) -> None:
        """Disconnects within a second. The next publish connects again."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()

    def _sender(self) -> Sender:
        with self._lock:
            if self._thread is None or not self._thread.alive:
                self._thread = _Thread(self._connect)
            return self._thread.sender

    async def _connect(self) -> Link:
        password = rabbitmq_password(self._url, self._secrets)
        return await connect(self._address, password, "publisher")

    def after_fork(self) -> None:
        """In the child: the parent's thread is not here, and its connection is not ours."""
        if self._thread is not None:
            # Kept for ever: its loop, collected, would take its sockets out of the epoll set it shares with the
            # parent's, which would never wake again.
            _left_to_the_parent.append(self._thread)
        self._lock = threading.Lock()
        self._thread = None


def _items(call: Call, given: Sequence[Message], delay: float, sender: Sender) -> list[Item]:
    exchange, key = topology.EXCHANGE, call.queue
    try:
        largest = max((len(message.body) for message in given), default=0)
        if largest > MAX_BODY:
            raise Unsupported(f"a payload is {largest:,} bytes, and RabbitMQ takes {MAX_BODY:,} at most")
        if call.delayed:
            exchange, key = delays.way_in(call.queue, delays.whole_seconds(delay))
        return [
            Item(
                id=message.id,
                exchange=exchange,
                key=key,
                properties=messages.encode(message),
                body=message.body,
                settled=sender.settled,
                call=call,
            )
            for message in given
        ]
    except (ValueError, Unsupported) as error:
        ids = [message.id for message in given]
        raise NotPublished(f"not published to the queue {call.queue!r}: {error}", ids) from error


def _judge(call: Call, states: list[tuple[Item, int]], timeout: float) -> None:
    """Raises what the states of the items amount to."""
    bad = [(item, state) for item, state in states if state != CONFIRMED]
    if not bad:
        return
    ids = [item.id for item, _ in bad]
    what = f"the event {ids[0]}" if len(states) == 1 else f"{len(ids)} of {len(states)} events"
    unknown = [item for item, state in bad if state in (WRITTEN, UNKNOWN)]
    if unknown:
        why = next((item.why for item in unknown if item.why), f"no confirm within {timeout:g} seconds")
        raise PublishUnknown(
            f"it is unknown whether {what} reached the queue {call.queue!r}: {why};"
            " publish again with the same event_id",
            ids,
        )
    why = next((item.why for item, _ in bad if item.why), "")
    if not why:
        why = f"RabbitMQ did not take it within {timeout:g} seconds{f' ({call.why})' if call.why else ''}"
    raise NotPublished(f"{what} could not be published to the queue {call.queue!r}: {why}", ids)


class _Thread:
    """A daemon thread with a loop and a sender on it."""

    def __init__(self, connect: Callable[[], Awaitable[Link]]) -> None:
        self._loop = asyncio.new_event_loop()
        self.sender = Sender(self._loop, connect)
        self._keeper = self._loop.create_task(self.sender.run())
        self._thread = threading.Thread(target=self._run, name="postroom-publisher", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        if not self.alive:
            return
        self._loop.call_soon_threadsafe(self._keeper.cancel)
        self._thread.join(EXIT_TIMEOUT)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._keeper)
        except asyncio.CancelledError:
            self._loop.run_until_complete(self.sender.close())
        self._loop.close()


_publishers: "weakref.WeakSet[Publisher]" = weakref.WeakSet()
_left_to_the_parent: list[_Thread] = []


def _in_child() -> None:
    for publisher in list(_publishers):
        publisher.after_fork()


def _at_exit() -> None:
    for publisher in list(_publishers):
        publisher.close()


os.register_at_fork(after_in_child=_in_child)
atexit.register(_at_exit)
