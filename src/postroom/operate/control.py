"""Peek, purge, pause, resume, declare and migrate: the broker's own verbs."""

from collections.abc import Callable, Iterator

from postroom.brokers.base import Broker
from postroom.errors import PostroomError
from postroom.queues import registry
from postroom.wire.message import Message

from .names import check


def peek(broker: Broker, queue: str, limit: int) -> list[Message]:
    """The first ``limit`` ready events, oldest first. Raises UnknownQueue, BrokerError."""
    check(broker, queue)
    return broker.peek(queue, limit)


def waiting(broker: Broker, queue: str, dead: bool) -> int:
    """How many events ``purge`` would delete now. Raises UnknownQueue, BrokerError."""
    check(broker, queue)
    figures = broker.figures(queue)
    return figures.dead if dead else figures.ready + (figures.delayed or 0)


def purge(broker: Broker, queue: str, dead: bool) -> int:
    """Deletes the events that wait, or the dead letters. Returns how many. Raises UnknownQueue, BrokerError."""
    check(broker, queue)
    return broker.purge_dead(queue) if dead else broker.purge(queue)


def delayed_will_come(broker: Broker, queue: str) -> bool:
    """Whether delayed events escape a purge, because the broker cannot tell whose they are, and there are any."""
    return broker.figures(queue).delayed is None and broker.delayed() > 0


def pause(broker: Broker, queue: str) -> None:
    """Stops consumption of the queue everywhere. Raises UnknownQueue, BrokerError."""
    check(broker, queue)
    broker.pause(queue)


def resume(broker: Broker, queue: str) -> None:
    """Ends a pause. Raises UnknownQueue, BrokerError."""
    check(broker, queue)
    broker.resume(queue)


def declare(broker: Broker, queues: list[str]) -> Iterator[str]:
    """Makes these queues, or all that the application declares; yields the name of each. Raises UnknownQueue,
    BrokerError, PostroomError where no queue is known."""
    for queue in queues:
        check(broker, queue)
    names = queues or [queue.name for queue in registry.queues()]
    if not names:
        raise PostroomError("which queues? Name the application with --app MODULE (or POSTROOM_APP), or the queues")
    ordered = {queue.name for queue in registry.queues() if queue.order is not None}
    for name in names:
        broker.declare(name, name in ordered)
        yield name


def misfit(broker: Broker, queue: str) -> str:
    """What ``migrate`` would mend; empty where there is nothing. Raises UnknownQueue, BrokerError."""
    check(broker, queue)
    return broker.misfit(queue)


def migrate(broker: Broker, queue: str, told: Callable[[str], None], moving: Callable[[int], None]) -> int:
    """As ``Broker.migrate``. Raises UnknownQueue, BrokerError."""
    check(broker, queue)
    return broker.migrate(queue, told, moving)
