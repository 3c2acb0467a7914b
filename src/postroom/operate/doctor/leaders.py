"""Whether RabbitMQ's quorum queues have a leader.

One that was declared seconds before its node was killed can stay without. It then counts as empty, takes no publish
and no consumer, and only silence tells.
"""

from collections.abc import Iterator

from postroom.brokers.base import Broker
from postroom.brokers.rabbitmq import address, control
from postroom.brokers.rabbitmq.connecting import connect
from postroom.brokers.rabbitmq.io import Link
from postroom.errors import BrokerError
from postroom.operate.names import known
from postroom.settings import Settings, rabbitmq_password

from .finding import Finding, problem


def each(broker: Broker, current: Settings) -> Iterator[Finding]:
    """Asks each queue that may be without a leader: those that seem empty and have no consumer. An event that
    comes just then is given back."""
    place = address.parse(current.broker)

    def connected(queue: str) -> None:
        login = rabbitmq_password(current.broker, current.secrets)
        control.run(lambda: connect(place, login, "doctor"), lambda link: _consume(link, queue))

    for name in known(broker):
        try:
            figures = broker.figures(name)
        except BrokerError:
            continue  # told already, with the other findings on the queue
        if figures.ready or figures.consumers:
            continue
        try:
            connected(name)
        except BrokerError as error:
            yield problem(f"queue {name}", str(error), "if it has none, delete the queue: what was in it is lost")


async def _consume(link: Link, queue: str) -> None:
    channel = await link.channel()
    await channel.call("basic_qos", prefetch_count=1)
    await channel.call("basic_consume", queue=queue, on_message_callback=lambda *_: None)
    await channel.close()
