"""All requests of a process on their way: each waits until its queue's line is open, or its time is over."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Final

from postroom.brokers.pending import Pending
from postroom.errors import BrokerError, NoReply, NotPublished, SettingsError

from .background import Background
from .confirms import Outcome, Outgoing
from .connecting import CannotConnect, pauses
from .io import ChannelClosed, Link
from .line import Line, Request, declare

LONGEST_PAUSE: Final = 1.0  # between attempts to connect while a request waits


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
        self._background = Background(loop)

    def submit(self, request: Request) -> None:
        """Sends it, soon. Raises NotPublished when too many wait for their replies."""
        self._pending.add(request.queue, request.id, request.reply)
        with self._lock:
            self._inbox.append(request)
            if len(self._inbox) > 1:
                return
        self._loop.call_soon_threadsafe(self._take)

    async def run(self) -> None:
        """Waits to be cancelled: requests bring what is to be done."""
        await self._loop.create_future()

    async def close(self) -> None:
        """Says goodbye."""
        self._background.cancel()
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
            self._background.start(self._declare_again(request))

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
            self._background.start(self._prepare(queue))

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


def _passing(error: Exception) -> bool:
    """It may be better in a moment."""
    if isinstance(error, CannotConnect):
        return not error.permanent
    return isinstance(error, ChannelClosed) and error.code == 0
