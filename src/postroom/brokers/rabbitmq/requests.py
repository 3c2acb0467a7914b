"""Requests from any thread, and after a fork: one connection a process, on an I/O thread of its own.

The replies come by RabbitMQ's direct reply-to (https://www.rabbitmq.com/docs/direct-reply-to): no queue is made for
them, and they reach only the channel that the request was published on. When that is lost its requests fail at once:
whether they have run nobody here knows, so that none is published again by itself.
"""

import asyncio
import atexit
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from postroom.brokers.pending import Pending
from postroom.errors import BrokerError, NoReply, NotPublished, SettingsError
from postroom.settings import rabbitmq_password
from postroom.wire import headers as h
from postroom.wire.message import Message
from postroom.wire.reply import Reply

from . import messages, topology
from .address import Address
from .confirms import ConfirmChannel, Outcome, Outgoing
from .connecting import CannotConnect, connect, pauses
from .io import ChannelClosed, Link

if TYPE_CHECKING:
    from concurrent.futures import Future

DIRECT: Final = "amq.rabbitmq.reply-to"
LONGEST_PAUSE: Final = 1.0  # between attempts to connect while a request waits
EXIT_TIMEOUT: Final = 1.0


class Requests:
    """Nothing is opened before the first request."""

    def __init__(self, address: Address, url: str, secrets: str | None) -> None:
        self._address = address
        self._url = url
        self._secrets = secrets
        self._lock = threading.Lock()
        self._thread: _Thread | None = None
        _all.add(self)

    def request(self, queue: str, message: Message, timeout: float, reply: "Future[Reply]") -> None:
        """As ``Broker.request``: returns at once."""
        message.headers[h.REPLY_TO] = DIRECT
        try:
            properties = messages.encode(message)
        except ValueError as error:
            raise NotPublished(f"not published to the queue {queue!r}: {error}", [message.id]) from error
        with self._lock:
            if self._thread is None or not self._thread.alive:
                self._thread = _Thread(self._connect)
            self._thread.caller.submit(
                Request(
                    id=message.id,
                    exchange=topology.EXCHANGE,
                    key=queue,
                    properties=properties,
                    body=message.body,
                    settled=self._thread.caller.settled,
                    queue=queue,
                    reply=reply,
                    by=time.monotonic() + timeout,
                    timeout=timeout,
                )
            )

    def close(self) -> None:
        """Disconnects within a second: what waits gets NoReply. The next request connects again."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is not None:
                thread.stop()

    async def _connect(self) -> Link:
        return await connect(self._address, rabbitmq_password(self._url, self._secrets), "requests")

    def after_fork(self) -> None:
        """In the child: the parent's thread is not here, and its connection is not ours."""
        if self._thread is not None:
            # Kept for ever: its loop, collected, would take its sockets out of the epoll set it shares with the
            # parent's, which would never wake again.
            _left_to_the_parent.append(self._thread)
        self._lock = threading.Lock()
        self._thread = None


class Request(Outgoing, eq=False, kw_only=True):
    """One on its way. ``by``: in monotonic seconds, when it must have been sent; ``why``: what kept it."""

    queue: str
    reply: "Future[Reply]"
    by: float
    timeout: float
    why: str = ""
    again: bool = False


class Line:
    """The channel for one queue's requests: RabbitMQ stops a whole channel while one queue has no leader. Its replies
    come to it, and with it end."""

    def __init__(self, confirms: ConfirmChannel, pending: Pending) -> None:
        self._confirms = confirms
        self._pending = pending
        self._asked: dict[str, Request] = {}
        self._forward: Callable[[ChannelClosed], None] = lambda _: None

    @classmethod
    async def to(cls, link: Link, queue: str, pending: Pending) -> "Line":
        """A new one. Raises BrokerError."""
        await declare(link, queue)
        line = cls(await ConfirmChannel.on(link), pending)
        channel = line._confirms.channel
        line._forward, channel.on_closed = channel.on_closed, line._on_closed
        await channel.call("basic_consume", queue=DIRECT, on_message_callback=line._on_reply, auto_ack=True)
        return line

    @property
    def open(self) -> bool:
        return self._confirms.channel.open

    @property
    def blocked(self) -> bool:
        return self._confirms.channel.link.blocked

    def ask(self, requests: list[Request]) -> None:
        """Publishes them; the caller's ``settled`` hears of each."""
        for request in requests:
            self._asked[request.id] = request
            request.reply.add_done_callback(partial(self._over, request.id))
        self._confirms.publish(requests)

    def _over(self, identity: str, _: "Future[Reply]") -> None:
        self._asked.pop(identity, None)

    def _on_reply(self, _raw: object, _method: object, properties: bytes, body: bytes) -> None:
        correlation, reply = messages.decode_reply(properties, body)
        self._pending.answer(correlation, reply)

    def _on_closed(self, reason: ChannelClosed) -> None:
        for identity, request in list(self._asked.items()):
            sentence = (
                f"no reply can come to the request {identity} of queue {request.queue!r}, which may have run: the "
                f"channel to RabbitMQ is gone ({reason}); ask again where that does no harm"
            )
            self._pending.fail(identity, NoReply(sentence))
        self._forward(reason)


class Caller:
    """All requests of the process, on the loop's thread; ``submit`` is for any."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connect: Callable[[], Awaitable[Link]]) -> None:
        self._loop = loop
        self._connect = connect
        self._pending = Pending()
        self._lock = threading.Lock()
        self._inbox: list[Request] = []
        self._link: Link | None = None
        self._linking = asyncio.Lock()
        self._lines: dict[str, Line] = {}
        self._waiting: dict[str, list[Request]] = {}  # until their queue's line is open
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, request: Request) -> None:
        """Sends it, soon. Raises NotPublished when too many wait for their replies."""
        self._pending.add(request.queue, request.id, request.reply)
        with self._lock:
            self._inbox.append(request)
            if len(self._inbox) > 1:
                return
        self._loop.call_soon_threadsafe(self._take)

    async def close(self) -> None:
        """Says goodbye."""
        for task in self._tasks:
            task.cancel()
        for identity in self._pending.identities():
            self._pending.fail(
                identity, NoReply(f"the request {identity} gets no reply: this program closed the broker")
            )
        if self._link is not None:
            await self._link.close(timeout=0.7)

    def settled(self, outgoing: Outgoing, outcome: Outcome) -> None:
        """What the confirm channel calls. A confirm by itself means nothing yet, and of a loss the line has told."""
        assert isinstance(outgoing, Request)
        request = outgoing
        if outcome is Outcome.REFUSED:
            self._refuse(request, "RabbitMQ refused it: the queue is full or being deleted")
        elif outcome is Outcome.RETURNED and request.again:
            self._refuse(
                request,
                "RabbitMQ has no such queue: it was deleted, or this account may not make it (postroom declare)",
            )
        elif outcome is Outcome.RETURNED:  # somebody deleted the queue or its binding: declare it anew, once
            request.again, request.returned = True, False
            self._start(self._declare_again(request))

    def _take(self) -> None:
        with self._lock:
            taken, self._inbox = self._inbox, []
        by_queue: dict[str, list[Request]] = {}
        for request in taken:
            by_queue.setdefault(request.queue, []).append(request)
        for queue, requests in by_queue.items():
            self._send(queue, requests)

    def _send(self, queue: str, requests: list[Request]) -> None:
        """Publishes; where that is not possible now they wait, each until its time is over."""
        line = self._lines.get(queue)
        if line is not None and line.open and not line.blocked and queue not in self._waiting:
            line.ask(requests)
            return
        for request in requests:
            self._loop.call_later(max(0.0, request.by - time.monotonic()), self._overdue, request)
        if queue in self._waiting:
            self._waiting[queue] += requests
        else:
            self._waiting[queue] = requests
            self._start(self._prepare(queue))

    def _overdue(self, request: Request) -> None:
        waiting = self._waiting.get(request.queue, ())
        if request in waiting and not request.reply.done():
            why = f" ({request.why})" if request.why else ""
            self._refuse(request, f"RabbitMQ did not take it within {request.timeout:g} seconds{why}")

    def _refuse(self, request: Request, why: str) -> None:
        sentence = f"the request {request.id} could not be published to the queue {request.queue!r}: {why}"
        self._pending.fail(request.id, NotPublished(sentence, [request.id]))

    async def _prepare(self, queue: str) -> None:
        """Opens the queue's line, and sends what waits for it; or gives up when nobody waits any more."""
        for seconds in pauses(LONGEST_PAUSE):
            try:
                line = await self._line(queue)
            except (BrokerError, SettingsError) as error:
                why, hopeless = str(error), not _passing(error)
            else:
                why, hopeless = "", False
                if line.blocked:
                    why = "it is low on memory or disk and has stopped all publishers"
            waiting = [request for request in self._waiting[queue] if not request.reply.done()]
            self._waiting[queue] = waiting
            for request in waiting:
                request.why = why
                if hopeless:
                    self._refuse(request, why)
            if hopeless or not waiting or not why:
                break
            await asyncio.sleep(seconds)
        waiting = [request for request in self._waiting.pop(queue) if not request.reply.done()]
        if waiting:
            self._send(queue, waiting)

    async def _line(self, queue: str) -> Line:
        async with self._linking:
            if self._link is None or not self._link.alive:
                self._link = await self._connect()
            link = self._link
        line = self._lines.get(queue)
        if line is None or not line.open:
            line = self._lines[queue] = await Line.to(link, queue, self._pending)
        return line

    async def _declare_again(self, request: Request) -> None:
        line = self._lines[request.queue]
        try:
            assert self._link is not None
            await declare(self._link, request.queue)
        except BrokerError as error:
            self._refuse(request, str(error))
            return
        if line.open:
            line.ask([request])
        else:
            self._refuse(request, "its queue was deleted, and then the connection was lost")

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()  # a mistake of ours is told by the loop's handler


async def declare(link: Link, queue: str) -> None:
    """The queue of a request. Raises BrokerError."""
    await topology.declare_exchanges(link)
    await topology.declare_queue(link, queue)


def _passing(error: Exception) -> bool:
    """It may be better in a moment."""
    if isinstance(error, CannotConnect):
        return not error.permanent
    return isinstance(error, ChannelClosed) and error.code == 0


class _Thread:
    """A daemon thread with a loop and a caller on it."""

    def __init__(self, connect: Callable[[], Awaitable[Link]]) -> None:
        self._loop = asyncio.new_event_loop()
        self.caller = Caller(self._loop, connect)
        self._thread = threading.Thread(target=self._run, name="postroom-requests", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        if self.alive:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(EXIT_TIMEOUT)

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.run_until_complete(self.caller.close())
        self._loop.close()


_all: "weakref.WeakSet[Requests]" = weakref.WeakSet()
_left_to_the_parent: list[_Thread] = []


def _in_child() -> None:
    for requests in list(_all):
        requests.after_fork()


def _at_exit() -> None:
    for requests in list(_all):
        requests.close()


os.register_at_fork(after_in_child=_in_child)
atexit.register(_at_exit)
