"""RabbitMQ: quorum queues, publisher confirms, one node or a cluster."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from msgspec import structs

from postroom.brokers.base import Fate, Figures, Hold, Listener
from postroom.errors import BrokerError
from postroom.policy.report import WorkerReport
from postroom.settings import masked, rabbitmq_password
from postroom.wire.message import Message
from postroom.wire.reply import Reply

from . import address, asking, control, dead, migrate, pauses, topology
from .connecting import connect
from .consumer import RabbitMQHold
from .io import Link
from .publisher import Publisher
from .requests import Requests

__all__ = ["RabbitMQBroker"]

if TYPE_CHECKING:
    from concurrent.futures import Future

    from .management import Management

T = TypeVar("T")


class RabbitMQBroker:
    """See ``brokers.base.Broker``.

    ``url``: ``amqp://user@host1,host2:5672/vhost`` or ``amqps://…``. The password is read, for each connection
    anew, as ``settings.rabbitmq_password`` says. Raises SettingsError for a malformed URL.

    Where this broker cannot tell: ``queues`` is empty, ``figures`` have no ``in_hand``, ``delayed``, ``oldest`` and
    ``rate``, and ``purge`` leaves delayed events. With ``management``, the URL of the management API, there are
    names, ``in_hand`` and ``rate``. Delays are whole seconds, rounded up, of 388 days at most.
    """

    def __init__(self, url: str, secrets: str | None, management: str | None = None) -> None:
        self.url = masked(url)
        self._url = url
        self._secrets = secrets
        self._address = address.parse(url)
        self._publisher = Publisher(self._address, url, secrets)
        self._requests = Requests(self._address, url, secrets)
        self._management: Management | None = None
        if management is not None:
            from . import management as api  # who only publishes does not pay for an HTTP client

            self._management = api.Management(management, self._address, url, secrets)

    def declare(self, queue: str, ordered: bool = False) -> None:
        self._request(lambda link: control.declare(link, queue, ordered))

    def publish(self, queue: str, messages: Sequence[Message], delay: float, timeout: float) -> None:
        self._publisher.publish(queue, messages, delay, timeout)

    def request(self, queue: str, message: Message, timeout: float, reply: "Future[Reply]") -> None:
        """Returns at once: ``reply`` tells also what goes wrong. When the connection is lost it gets NoReply."""
        self._requests.request(queue, message, timeout, reply)

    def hold(self, loop: asyncio.AbstractEventLoop, listener: Listener, name: str) -> Hold:
        return RabbitMQHold(loop, listener, name, self._connect)

    def queues(self) -> list[str]:
        return self._managed(lambda management: management.queues()) or []

    def figures(self, queue: str) -> Figures:
        found = self._request(lambda link: control.figures(link, queue))
        sample = self._managed(lambda management: management.sample(queue))
        return found if sample is None else structs.replace(found, in_hand=sample.in_hand, rate=sample.rate)

    def reports(self, expected: Mapping[str, int], seconds: float) -> list[WorkerReport]:
        """Takes the permission to write to the exchange ``postroom.control``."""
        return self._request(lambda link: asking.ask(link, expected, seconds))

    def delayed(self) -> int:
        return self._request(control.delayed)

    def peek(self, queue: str, limit: int) -> list[Message]:
        """Hides the events from consumers for that moment, and RabbitMQ counts a return for each."""
        return self._request(lambda link: dead.peek(link, queue, limit))

    def purge(self, queue: str) -> int:
        return self._request(lambda link: control.purge(link, queue))

    def purge_dead(self, queue: str) -> int:
        return self._request(lambda link: control.purge(link, topology.dead(queue)))

    def pause(self, queue: str) -> None:
        self._request(lambda link: pauses.pause(link, queue))

    def resume(self, queue: str) -> None:
        self._request(lambda link: pauses.resume(link, queue))

    def sweep_dead(self, queue: str, judge: Callable[[Message], Fate]) -> dict[Fate, int]:
        """Raises BrokerError when another program sweeps the same letters."""
        return self._request(lambda link: dead.sweep(link, queue, judge))

    def misfit(self, queue: str) -> str:
        return self._request(lambda link: migrate.misfit(link, queue))

    def migrate(self, queue: str, told: Callable[[str], None], moving: Callable[[int], None]) -> int:
        """Pauses the queue meanwhile. A classic queue with consumers needs ``management``."""
        in_hand = None if self._management is None else self._in_hand
        return self._request(lambda link: migrate.migrate(link, queue, in_hand, told, moving))

    def close(self) -> None:
        self._publisher.close()
        self._requests.close()

    def _in_hand(self, queue: str) -> int | None:
        assert self._management is not None
        return self._management.sample(queue).in_hand

    def _managed(self, ask: "Callable[[Management], T]") -> T | None:
        """What the management API answers. None where there is none, and where it does not answer: AMQP alone must do
        then, as without it."""
        if self._management is None:
            return None
        try:
            return ask(self._management)
        except BrokerError as error:
            logging.getLogger("postroom.management").warning("%s; going on with what AMQP tells", error)
            self._management = None
            return None

    def _request(self, work: Callable[[Link], Awaitable[T]]) -> T:
        return control.run(lambda: self._connect("control"), work)

    async def _connect(self, role: str) -> Link:
        return await connect(self._address, rabbitmq_password(self._url, self._secrets), role)
