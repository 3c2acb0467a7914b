"""The brokers under test. Whoever adds one adds a site here and a line to ``SITES``, and no test."""

import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from tests.proxy import Proxy
from tests.rabbit import RabbitNode

from postroom.brokers.base import Broker, Delivery, Fate
from postroom.brokers.connect import connect
from postroom.brokers.memory import MemoryBroker
from postroom.wire.message import Message, new_id

from .consumer import Consumer
from .remote import RemoteConsumer

_numbers = itertools.count(1)


class _Closes(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closes)


class Site:
    """A broker's address, and where the promise that all make leaves it a choice.

    ``back_within``: seconds until a dead consumer's events can be had again. ``keeps_place``: what returns is
    at the place where it was. ``counts_give_back``: giving back, and a peek, are counted as returns.
    ``settles_apart``: a copy's publish and its original's acknowledgement are two steps, and a crash may come
    between them. ``tells_in_hand``, ``tells_delayed``, ``tells_queues``: the figures know these.
    ``one_process``: no other process can see it.
    """

    name: str
    url: str
    back_within = 1.0
    keeps_place = True
    counts_give_back = False
    settles_apart = False
    tells_in_hand = True
    tells_delayed = True
    tells_queues = True
    one_process = False
    unreachable: str | None = None
    """A URL of this kind where nothing can be reached."""
    names_unreachable = ""
    """What the error about ``unreachable`` must name."""

    def __init__(self) -> None:
        self._opened: list[_Closes] = []
        self.sever: Callable[[], None] | None = None
        """Cuts the connections of holds from ``severable``, where there is a connection that can be cut."""
        self.kill_server: Callable[[], None] | None = None
        """SIGKILL to the server and a new start, where there is a server."""

    def broker(self) -> Broker:
        """A broker object of its own, closed after the test."""
        return self._opening(connect(self.url))

    def consumer(self, broker: Broker | None = None) -> Consumer:
        return self._opening(Consumer(broker or self.broker()))

    def mortal(self) -> Consumer | RemoteConsumer:
        """A consumer that can be killed."""
        return self.consumer() if self.one_process else self._opening(RemoteConsumer(self.url))

    def severable(self) -> Consumer:
        """A consumer whose connection ``sever`` cuts."""
        return self.consumer()

    def close(self) -> None:
        """Closes what the test has opened, the latest first."""
        opened, self._opened = self._opened, []
        for each in reversed(opened):
            each.close()

    def end(self) -> None:
        """After the last test."""
        self.close()

    def _opening(self, opened: C) -> C:
        self._opened.append(opened)
        return opened


class Memory(Site):
    name = "memory"
    one_process = True

    def __init__(self) -> None:
        super().__init__()
        self.url = f"memory://conformance-{next(_numbers)}"
        self.sever = MemoryBroker(self.url).sever


class SQLite(Site):
    name = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="postroom-conformance-")
        self.url = f"sqlite:///{Path(self._folder.name).resolve()}/postroom.db"
        missing = Path(self._folder.name).resolve() / "missing"
        self.unreachable = f"sqlite:///{missing}/postroom.db"
        self.names_unreachable = str(missing)

    def end(self) -> None:
        super().end()
        self._folder.cleanup()


class RabbitMQ(Site):
    name = "rabbitmq"
    back_within = 2.0
    keeps_place = False  # several consumers' events return in the order in which they are returned
    counts_give_back = True  # but for 4.3, which counts only what comes back by itself
    settles_apart = True
    tells_in_hand = False
    tells_delayed = False
    tells_queues = False

    def __init__(self, node: RabbitNode) -> None:
        super().__init__()
        self.url = node.url
        self._proxy = Proxy(node.port)
        self.sever = self._proxy.cut
        self.unreachable = "amqp://guest:hushhush@127.0.0.1:1/%2F"  # a port that nobody can have
        self.names_unreachable = "127.0.0.1:1"
        self._through_proxy = node.url.replace(f":{node.port}", f":{self._proxy.port}")

        def kill_server() -> None:
            node.kill()
            node.start()

        self.kill_server = kill_server

    def severable(self) -> Consumer:
        broker: Broker = self._opening(connect(self._through_proxy))
        return self.consumer(broker)

    def end(self) -> None:
        super().end()
        self._proxy.close()


SITES = ("memory", "sqlite", "rabbitmq")


def message(number: int = 0, **headers: str | int | float | bool) -> Message:
    """A small event. ``number`` is its payload."""
    return Message(new_id(), b'{"number": %d}' % number, headers, 1_700_000_000.25 + number)


def messages(count: int) -> list[Message]:
    return [message(number) for number in range(count)]


def ids(events: list[Message] | list[Delivery]) -> list[str]:
    return [event.message.id if isinstance(event, Delivery) else event.id for event in events]


def letters(broker: Broker, queue: str) -> list[Message]:
    """The queue's dead letters, oldest first, which stay."""
    found: list[Message] = []

    def judge(letter: Message) -> Fate:
        found.append(letter)
        return Fate.KEEP

    assert broker.sweep_dead(queue, judge)[Fate.KEEP] == len(found)
    return found


def new_queue() -> str:
    """A name that no test has used on this machine."""
    return f"q{os.getpid()}.{new_id()[-10:].lower()}"
