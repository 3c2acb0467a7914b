"""A peer that says nothing: noticed within two heartbeats.

pika looks once in a heartbeat and five seconds whether anything came, so that it may take twice that. RabbitMQ sends
something twice in a heartbeat (https://www.rabbitmq.com/docs/heartbeats).
"""

from typing import Final

from .frames import Connection
from .io import Link

PATIENCE: Final = 1.5  # heartbeats: three of RabbitMQ's have not come
LOOK: Final = 0.25  # of a heartbeat, between two looks


def watch(link: Link, connection: Connection) -> None:
    """Ends the link when nothing has come for ``PATIENCE`` heartbeats."""
    assert connection.params is not None
    heartbeat = connection.params.heartbeat  # what both have agreed upon
    assert isinstance(heartbeat, int)
    if heartbeat:
        _look(link, connection, heartbeat, connection.bytes_received, link.loop.time())


def _look(link: Link, connection: Connection, heartbeat: float, received: int, since: float) -> None:
    if not link.alive:
        return
    now = link.loop.time()
    if connection.bytes_received != received:
        received, since = connection.bytes_received, now
    elif now - since > PATIENCE * heartbeat:
        link.abort(f"RabbitMQ has been silent for {now - since:.0f} seconds")
        return
    link.loop.call_later(LOOK * heartbeat, _look, link, connection, heartbeat, received, since)
