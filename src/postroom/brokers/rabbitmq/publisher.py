"""Publishing from any thread, and after a fork: one connection a process, on an I/O thread of its own."""

import time
from collections import deque
from collections.abc import Sequence
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
from .resident import Resident
from .sender import Sender

MAX_BODY: Final = 16 * 2**20  # bytes: over a larger one RabbitMQ 4 closes the channel


class Publisher:
    """Nothing is opened before the first publish."""

    def __init__(self, address: Address, url: str, secrets: str | None) -> None:
        self._address = address
        self._url = url
        self._secrets = secrets
        self._sender = Resident("postroom-publisher", lambda loop: Sender(loop, self._connect))

    def publish(self, queue: str, given: Sequence[Message], delay: float, timeout: float) -> None:
        """As ``Broker.publish``. While one window is confirmed, the next is made and sent."""
        report = Report(queue, len(given), timeout)
        sender = self._sender.get()
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
        self._sender.close()

    async def _connect(self) -> Link:
        password = rabbitmq_password(self._url, self._secrets)
        return await connect(self._address, password, "publisher", DirectConnection)


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
