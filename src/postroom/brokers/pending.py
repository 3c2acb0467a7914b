"""The requests of this process that wait for a reply."""

import threading
from typing import TYPE_CHECKING, Final

from postroom.errors import NotPublished
from postroom.wire.reply import Reply

if TYPE_CHECKING:
    from concurrent.futures import Future  # who only publishes does not pay for it

MOST: Final = 10_000


class Pending:
    """Futures by the id of their request, 10,000 at most. Any thread may use it. One that is done, whoever did it, is
    forgotten: so the first reply is the only one, and who gives up leaves nothing."""

    def __init__(self) -> None:
        self._waiting: dict[str, Future[Reply]] = {}
        self._lock = threading.Lock()

    def add(self, queue: str, identity: str, reply: "Future[Reply]") -> None:
        """From now on a reply to it is awaited. Raises NotPublished when there are too many."""
        with self._lock:
            if len(self._waiting) >= MOST:
                raise NotPublished(
                    f"the request {identity} was not published to the queue {queue!r}: {MOST:,} requests of this "
                    "process wait for replies already",
                    [identity],
                )
            self._waiting[identity] = reply
        reply.add_done_callback(lambda _: self._waiting.pop(identity, None))

    def answer(self, identity: str, reply: Reply) -> None:
        """A reply has come; it is dropped where nobody waits for it."""
        future = self._waiting.pop(identity, None)
        if future is not None and future.set_running_or_notify_cancel():
            future.set_result(reply)

    def fail(self, identity: str, error: Exception) -> None:
        """None will come."""
        future = self._waiting.pop(identity, None)
        if future is not None and future.set_running_or_notify_cancel():
            future.set_exception(error)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def identities(self) -> list[str]:
        """Which requests wait."""
        return list(self._waiting)
