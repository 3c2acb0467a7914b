"""Durable queues in one SQLite file, for any number of processes of one machine."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from postroom.brokers.base import Fate, Figures, Hold, Listener
from postroom.errors import SettingsError
from postroom.policy.report import WorkerReport
from postroom.wire.message import Message
from postroom.wire.reply import Reply

from . import asking
from .control import Control
from .publish import Publisher
from .requests import Requests

if TYPE_CHECKING:
    import asyncio  # who only publishes does not pay for these
    from concurrent.futures import Future

__all__ = ["SQLiteBroker"]


class SQLiteBroker:
    """Queues in the file that ``url`` names: ``sqlite:///`` and an absolute path.

    The file is made where it does not exist, readable by its owner alone; to share it between users, give it and
    its folder their group's permissions. Beside it are SQLite's ``-wal`` and ``-shm`` and the folder ``-consumers``.
    It must be on a local disk. Methods as ``brokers.base.Broker`` describes.
    """

    def __init__(self, url: str) -> None:
        scheme, _, path = url.partition(":///")
        if scheme != "sqlite" or not path.strip("/"):
            raise SettingsError(f"the broker URL {url!r} names no file; write sqlite:///postroom.db")
        self.url = url
        # settings has made the path absolute; sqlite:////abs, as others write it, has one slash more.
        self._path = path.replace("//", "/", 1) if path.startswith("//") else path
        self._publisher = Publisher(self._path)
        self._control = Control(self._path)
        self._requests = Requests(self._path, self._publisher)

    def declare(self, queue: str, ordered: bool = False) -> None:
        """Makes the queue where it does not exist."""
        self._control.declare(queue)

    def publish(self, queue: str, messages: Sequence[Message], delay: float, timeout: float) -> None:
        """Returns when all messages are safe on disk, or raises NotPublished or PublishUnknown."""
        self._publisher.publish(queue, messages, delay, timeout)

    def request(self, queue: str, message: Message, timeout: float, reply: "Future[Reply]") -> None:
        """Returns when the request is safe on disk, or raises NotPublished or PublishUnknown."""
        self._requests.request(queue, message, timeout, reply)

    def hold(self, loop: "asyncio.AbstractEventLoop", listener: Listener, name: str) -> Hold:
        """A consumer's grip, not yet open."""
        from .hold import SQLiteHold

        return SQLiteHold(self._path, loop, listener, name)

    def queues(self) -> list[str]:
        """The names of the queues."""
        return self._control.queues()

    def figures(self, queue: str) -> Figures:
        """The queue at this moment; a queue that does not exist is empty."""
        return self._control.figures(queue)

    def reports(self, expected: Mapping[str, int], seconds: float) -> list[WorkerReport]:
        """Asks them by their sockets, which only the same user can reach."""
        return asking.ask(self._control.bells(expected), expected, seconds)

    def delayed(self) -> int:
        """How many events of all queues wait for their time."""
        return self._control.delayed()

    def peek(self, queue: str, limit: int) -> list[Message]:
        """The first ready events, oldest first."""
        return self._control.peek(queue, limit)

    def purge(self, queue: str) -> int:
        """Deletes the ready and the delayed events."""
        return self._control.purge(queue)

    def purge_dead(self, queue: str) -> int:
        """Deletes the dead letters."""
        return self._control.purge_dead(queue)

    def pause(self, queue: str) -> None:
        """Stops consumption everywhere."""
        self._control.pause(queue)

    def resume(self, queue: str) -> None:
        """Ends a pause."""
        self._control.resume(queue)

    def sweep_dead(self, queue: str, judge: Callable[[Message], Fate]) -> dict[Fate, int]:
        """Asks ``judge`` about every dead letter and does as it says."""
        return self._control.sweep_dead(queue, judge)

    def misfit(self, queue: str) -> str:
        """Always empty: a queue has no declaration here that could not fit."""
        return ""

    def migrate(self, queue: str, told: Callable[[str], None], moving: Callable[[int], None]) -> int:
        """There is nothing to move."""
        return 0

    def close(self) -> None:
        """Disconnects. The broker may be used again."""
        self._requests.close()
        self._publisher.close()
        self._control.close()
