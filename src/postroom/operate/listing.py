"""The state of all queues."""

from msgspec import Struct, structs

from postroom.brokers.base import Broker, Figures, MissingQueue
from postroom.errors import BrokerError, PostroomError
from postroom.policy.clear import backlog, pooled, time_to_clear
from postroom.policy.report import WorkerReport

from .names import check, known

PATIENCE = 1.0
"""Seconds in which the consumers must tell of their pace."""


class QueueState(Struct, frozen=True):
    """One queue. ``figures`` is None where the queue does not exist yet, and where the broker
    did not answer; then ``error`` says why. ``clear``: seconds until it is empty, with nothing new; None where that
    cannot be told."""

    queue: str
    figures: Figures | None
    error: str | None = None
    clear: float | None = None


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
    return Listing(_with_pace(broker, [_state(broker, name) for name in names]), delayed)


def _with_pace(broker: Broker, states: list[QueueState]) -> list[QueueState]:
    """The same with what the consumers tell of their pace."""
    expected = {state.queue: state.figures.consumers for state in states if state.figures and state.figures.consumers}
    try:
        reports = broker.reports(expected, PATIENCE) if expected else []
    except BrokerError as error:
        import logging  # --help does without

        logging.getLogger("postroom.management").warning("the consumers cannot tell of their pace: %s", error)
        reports = []
    return [
        _paced(state, state.figures, [report for report in reports if report.queue == state.queue])
        if state.figures
        else state
        for state in states
    ]


def _paced(state: QueueState, figures: Figures, reports: list[WorkerReport]) -> QueueState:
    if reports and figures.rate is None:
        figures = structs.replace(figures, rate=sum(report.rate for report in reports))
    mean, slots = pooled(reports)
    return structs.replace(state, figures=figures, clear=time_to_clear(backlog(figures.ready, reports), mean, slots))


def _state(broker: Broker, queue: str) -> QueueState:
    try:
        return QueueState(queue, broker.figures(queue))
    except MissingQueue:
        return QueueState(queue, None)
    except BrokerError as error:
        return QueueState(queue, None, str(error))
