"""Publishing from any thread, and after a fork: one connection a process, on an I/O thread of its own."""

import asyncio
import atexit
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from postroom.brokers.base import WINDOW
from postroom.errors import Unsupported
from postroom.settings import rabbitmq_password
from postroom.wire.headers import KEY
from postroom.wire.message import Message

from . import delays, messages, topology
from .address import Address
from .calls import Call, Item
from .connecting import connect
from .direct import DirectConnection
from .io import Link
from .report import Report
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
        """As ``Broker.publish``. While one window is confirmed, the next is made and sent."""
        report = Report(queue, len(given), timeout)
        sender = self._sender()
        on_their_way: deque[tuple[Call, float]] = deque()
        try:
            for start in range(0, len(given), WINDOW):
                window = given[start : start + WINDOW]
                deadline = time.monotonic() + timeout
                if not report.unpublished:
                    try:
                        call = _call(queue, window, delay, sender)
                    except (ValueError, Unsupported) as error:
                        report.leave(window, str(error))
                        continue
                    on_their_way.append((call, deadline))
                    sender.submit(call)
                else:  # what comes before is not in the queue: this shall not be there without it
                    report.leave(window, "")
                if len(on_their_way) > 1:
                    report.add(*_settled(sender, *on_their_way[0]))
                    on_their_way.popleft()
            while on_their_way:
                report.add(*_settled(sender, *on_their_way[0]))
                on_their_way.popleft()
        finally:
            for call, _ in on_their_way:  # an exception from outside
                sender.give_up(call)
        report.judge()

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
        return await connect(self._address, password, "publisher", DirectConnection)

    def after_fork(self) -> None:
        """In the child: the parent's thread is not here, and its connection is not ours."""
        if self._thread is not None:
            # Kept for ever: its loop, collected, would take its sockets out of the epoll set it shares with the
            # parent's, which would never wake again.
            _left_to_the_parent.append(self._thread)
        self._lock = threading.Lock()
        self._thread = None


def _call(queue: str, window: Sequence[Message], delay: float, sender: Sender) -> Call:
    """Raises ValueError or Unsupported for what AMQP or the ladder of delays cannot do."""
    call = Call(queue, delayed=delay > 0)
    call.ordered = any(KEY in message.headers for message in window)
    exchange, key = topology.EXCHANGE, queue
    largest = max(len(message.body) for message in window)
    if largest > MAX_BODY:
        raise Unsupported(f"a payload is {largest:,} bytes, and RabbitMQ takes {MAX_BODY:,} at most")
    if call.delayed:
        exchange, key = delays.way_in(queue, delays.whole_seconds(delay))
    encode, settled = messages.encode, sender.settled
    call.expect(
        [Item(message.id, exchange, key, encode(message), message.body, settled, call=call) for message in window]
    )
    if call.ordered and not call.delayed:
        for item, message in zip(call.items, window, strict=True):
            item.key = topology.place(queue, message.headers)
    return call


def _settled(sender: Sender, call: Call, deadline: float) -> tuple[Call, list[tuple[Item, int]]]:
    """Waits for a call. Returns the state of each item then."""
    in_time = False
    try:
        in_time = call.wait(deadline - time.monotonic())
    finally:
        states = [(item, item.state) for item in call.items] if in_time else sender.give_up(call)
    return call, states


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
