"""The state of all queues."""

from msgspec import Struct

from postroom.brokers.base import Broker, Figures, MissingQueue
from postroom.errors import BrokerError, PostroomError

from .names import check, known


class QueueState(Struct, frozen=True):
    """One queue. ``figures`` is None where the queue does not exist yet, and where the broker
    did not answer; then ``error`` says why."""

    queue: str
    figures: Figures | None
    error: str | None = None


class Listing(Struct, frozen=True):
    """All queues, and how many events of all of them wait for their time."""

    queues: list[QueueState]
    delayed: int


def listing(broker: Broker, queues: list[str]) -> Listing:
    """The state of ``queues``, or of all that are known. Raises BrokerError where the broker cannot be reached,
    UnknownQueue for a wrong name, PostroomError where no queue is known."""
    for queue in queues:
        check(broker, queue)
    names = queues or known(broker)
    # Asked first: where the broker is away, one deadline passes and not one for each queue.
    delayed = broker.delayed()
    if not names and broker.url.startswith("amqp"):
        raise PostroomError(
            "RabbitMQ does not tell over AMQP which queues it has: name the application with --app MODULE, "
            "the queues, or its management API in the setting management"
        )
    return Listing([_state(broker, name) for name in names], delayed)


def clears_in(figures: Figures) -> float | None:
    """Seconds until the queue is empty, at its present rate and with nothing new; None where that cannot be told."""
    if figures.rate is None:
        return None
    if figures.ready == 0:
        return 0.0
    return figures.ready / figures.rate if figures.rate else None


def _state(broker: Broker, queue: str) -> QueueState:
    try:
        return QueueState(queue, broker.figures(queue))
    except MissingQueue:
        return QueueState(queue, None)
    except BrokerError as error:
        return QueueState(queue, None, str(error))
