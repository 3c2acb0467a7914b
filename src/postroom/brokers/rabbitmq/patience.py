"""How long RabbitMQ leaves an event with a consumer that does not acknowledge it, and what to do about that."""

import re
from typing import Final

from postroom.brokers.base import InHandLimit

DEFAULT: Final = 1800.0  # seconds: its consumer_timeout where nobody has set it, which no client can read
LIFTED: Final = (4, 3)  # since then a consumer may state its own, which 3.10.8 and 4.0.5 ignore

_SETTING: Final = (
    "set consumer_timeout in rabbitmq.conf to more milliseconds than a job takes (consumer_timeout = 86400000 is a"
    " day) and restart the node, or, from RabbitMQ 3.12 on, set a policy with consumer-timeout"
)
ADVICE: Final = (
    f". A job took longer than that. It goes on, and its outcome counts when the event comes back; {_SETTING}"
)


def limit(version: str) -> InHandLimit | None:
    """What a broker of this version does whatever a consumer asks for."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers >= LIFTED:
        return None
    return InHandLimit(
        DEFAULT,
        f"RabbitMQ {version} hands an event out again that is in hand for longer than its consumer_timeout, which is"
        f" 30 minutes unless you have raised it: {_SETTING}, or give the worker a lower timeout",
    )


def outlasted(why: str) -> bool:
    """Whether a channel that the broker closed with these words was closed over it."""
    return "delivery acknowledgement" in why and "timed out" in why
