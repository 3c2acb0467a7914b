"""Which queues there are, and whether a name is one of them."""

from postroom.brokers.base import Broker
from postroom.errors import UnknownQueue, did_you_mean
from postroom.queues import registry


def known(broker: Broker) -> list[str]:
    """The queues that the application declares or the broker tells of, by name."""
    return sorted({queue.name for queue in registry.queues()} | set(broker.queues()))


def check(broker: Broker, queue: str) -> None:
    """Raises UnknownQueue, naming the closest, for a queue that is not known. RabbitMQ tells no names: where no
    application is loaded either, any may be named there."""
    names = known(broker)
    if queue not in names and (names or not broker.url.startswith("amqp")):
        raise UnknownQueue(f"there is no queue {queue!r}{did_you_mean(queue, names)}")
