"""The exchanges and queues of Postroom in a broker, and what they are called.

The arguments of a queue are constants. No setting of a program becomes one: RabbitMQ refuses a declaration
that differs from the first, so that a change would stop half the processes of a rolling deployment.
"""

from typing import Any, Final

from postroom.brokers.base import DEAD_SUFFIX
from postroom.errors import BrokerError

from . import delays
from .io import Channel, ChannelClosed

EXCHANGE: Final = "postroom"
CONTROL: Final = "postroom.control"
LONGEST_NAME: Final = 150  # bytes; a routing key has 255, and a delayed event's begins with 50 of its own

_DELIVERY_LIMIT: Final = 1_000_000  # out of reach: where it is not set, RabbitMQ 4 drops events at the 21st look


def dead(queue: str) -> str:
    """The queue for the dead letters of ``queue``."""
    return queue + DEAD_SUFFIX


def marker(queue: str) -> str:
    """The exchange that exists while ``queue`` is paused."""
    return f"postroom.paused.{queue}"


async def declare_exchanges(channel: Channel) -> None:
    """What all queues share, but for the ladder of delays."""
    await channel.call("exchange_declare", exchange=EXCHANGE, exchange_type="direct", durable=True)
    await delays.declare_due(channel)


async def declare_queue(channel: Channel, queue: str) -> None:
    """A queue, its dead letters and their bindings; the exchanges exist. Raises BrokerError."""
    if not queue or len(queue.encode()) > LONGEST_NAME or queue.startswith("amq."):
        raise BrokerError(
            f"{queue!r} cannot be a queue's name on RabbitMQ: 1 to {LONGEST_NAME} bytes, not starting with amq."
        )
    for name, arguments in ((dead(queue), _dead_arguments()), (queue, _arguments(queue))):
        try:
            await channel.call("queue_declare", queue=name, durable=True, arguments=arguments)
        except ChannelClosed as error:
            if error.code != 406:
                raise
            raise BrokerError(
                f"the queue {name!r} exists in RabbitMQ with other properties than Postroom's"
                f" ({error}): use another name, or drain and delete it"
            ) from error
    await channel.call("queue_bind", queue=queue, exchange=EXCHANGE, routing_key=queue)
    await channel.call("queue_bind", queue=dead(queue), exchange=EXCHANGE, routing_key=dead(queue))
    await channel.call("queue_bind", queue=queue, exchange=delays.DUE, routing_key=delays.due_binding(queue))


def _arguments(queue: str) -> dict[str, Any]:
    # Dead-lettering by the broker is only the belt: Postroom buries by a publish of its own.
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": _DELIVERY_LIMIT,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead(queue),
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def _dead_arguments() -> dict[str, Any]:
    return {"x-queue-type": "quorum", "x-delivery-limit": _DELIVERY_LIMIT}
