"""The one broker of this process, and the way that messages take to it."""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from postroom.brokers.base import Broker
from postroom.brokers.connect import connect
from postroom.queues.middleware import publishing
from postroom.settings import changes, settings
from postroom.wire.message import Message
from postroom.wire.reply import Reply

if TYPE_CHECKING:
    from concurrent.futures import Future  # only who requests pays for it

Route = Callable[[str, Sequence[Message], float], None]

_lock = threading.Lock()
_broker: Broker | None = None
_built_at = -1
_timeout = 5.0


def broker() -> Broker:
    """The broker of the settings in force, connected to when it is first used. Raises SettingsError."""
    global _broker, _built_at, _timeout
    if _broker is not None and _built_at == changes():
        return _broker
    with _lock:
        if _broker is None or _built_at != changes():
            current = settings()
            if _broker is not None:
                _broker.close()
            _broker = connect(current.broker, current.secrets, current.management)
            _timeout = current.publish_timeout
            _built_at = changes()
        return _broker


def publish_now(queue: str, messages: Sequence[Message], delay: float) -> None:
    """Publishes and returns when the broker has confirmed all. Raises NotPublished or PublishUnknown."""
    here = broker()
    around = publishing(queue, list(messages))
    if around is None:
        here.publish(queue, messages, delay, _timeout)
    else:
        with around:
            here.publish(queue, messages, delay, _timeout)


def request(queue: str, message: Message, timeout: float, reply: "Future[Reply]") -> None:
    """Publishes a request at once, whatever way is set: who waits for a reply cannot wait for a commit first.
    ``reply`` gets what comes, as ``Broker.request`` says."""
    here = broker()
    around = publishing(queue, [message])
    if around is None:
        here.request(queue, message, min(timeout, _timeout), reply)
    else:
        with around:
            here.request(queue, message, min(timeout, _timeout), reply)


_route: Route = publish_now


def send(queue: str, messages: Sequence[Message], delay: float) -> None:
    """Sends the messages the way that is set: at once, or as a framework prefers."""
    _route(queue, messages, delay)


def route(way: Route) -> None:
    """Sets the way that every publish takes; ``publish_now`` is the default. Django's publishes on commit."""
    global _route
    _route = way
