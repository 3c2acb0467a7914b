"""The broker that a URL names. Each kind is imported only when it is used."""

from postroom.errors import SettingsError, did_you_mean

from .base import Broker

SCHEMES = ("sqlite", "amqp", "amqps", "memory")


def connect(url: str, secrets: str | None = None, management: str | None = None) -> Broker:
    """The broker at ``url``; nothing is opened yet. ``secrets``: the file that holds its password; ``management``:
    where the management API of a RabbitMQ answers, if it is to be asked.

    Raises SettingsError for a URL that names none.
    """
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        from .sqlite import SQLiteBroker

        return SQLiteBroker(url)
    if scheme in ("amqp", "amqps"):
        from .rabbitmq import RabbitMQBroker

        return RabbitMQBroker(url, secrets, management)
    if scheme == "memory":
        from .memory import MemoryBroker

        return MemoryBroker(url)
    raise SettingsError(f"the broker URL starts with {scheme!r}{did_you_mean(scheme, SCHEMES)}")
