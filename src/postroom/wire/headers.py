"""The headers of Postroom's own. All that is known of an event's past is written here and travels with it.

A message without any of them, as a foreign program publishes it, is a first attempt of version 1.
"""

from collections.abc import Mapping
from typing import Final

from .message import Header, Headers

PREFIX: Final = "postroom-"

KEY: Final = "postroom-key"  # events of one key keep their order; absent where the queue has no order_by
VERSION: Final = "postroom-version"  # of the payload; absent means 1
ATTEMPTS: Final = "postroom-attempts"  # how many attempts have failed
CRASHES: Final = "postroom-crashes"  # how many executors it has killed, alone
FIRST_FAILED: Final = "postroom-first-failed"  # seconds since the epoch
GENERATION: Final = "postroom-generation"  # how often it was rescheduled: tells a retry from a redelivery
SUSPECT: Final = "postroom-suspect"  # came back twice without any outcome: runs alone
HELD: Final = "postroom-held"  # seconds since the epoch: since when it is retried in place, its followers waiting
LAST_ERROR: Final = "postroom-last-error"  # one line: type and message of the latest failure

REPLY_TO: Final = "postroom-reply-to"  # where its worker's answer is awaited: it is a request
CORRELATION: Final = "postroom-correlation-id"  # what the answer is to name, if not the event's id
DEADLINE: Final = "postroom-deadline"  # seconds since the epoch: afterwards nobody waits for the answer
ERROR: Final = "postroom-error"  # on a reply that is one: the exception's name

DIED: Final = "postroom-died"  # seconds since the epoch; on dead letters only, as are the rest
REASON: Final = "postroom-reason"  # a sentence: why it was buried
TRACEBACK: Final = "postroom-traceback"
HOST: Final = "postroom-host"  # where it was buried

_OF_A_DEATH: Final = (DIED, REASON, TRACEBACK, HOST)
_OF_A_REQUEST: Final = (REPLY_TO, CORRELATION, DEADLINE)
_OF_THE_PAST: Final = (ATTEMPTS, CRASHES, FIRST_FAILED, SUSPECT, HELD, LAST_ERROR)


def number(headers: Mapping[str, Header], name: str, default: int = 0) -> int:
    """The header as a whole number of at least 0; ``default`` where it is absent or no number.

    A foreign program may write anything here, so a wrong type is treated as absent, never as an error.
    """
    value = headers.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    return max(0, int(value)) if abs(value) < 2**53 else default


def moment(headers: Mapping[str, Header], name: str) -> float | None:
    """The header as seconds since the epoch, or None."""
    value = headers.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 2**53 else None


def text(headers: Mapping[str, Header], name: str) -> str:
    """The header as text; empty where it is absent."""
    value = headers.get(name)
    return value if isinstance(value, str) else ""


def key(headers: Mapping[str, Header]) -> str | None:
    """The key whose events keep their order; None where there is none."""
    value = headers.get(KEY)
    return value if isinstance(value, str) else None


def rescheduled(headers: Mapping[str, Header], **changes: Header) -> Headers:
    """Headers for the copy of an event that replaces it: one generation on, with ``changes`` applied.

    ``changes`` are named by the constants above without their prefix: ``attempts=2, last_error="…"``.
    """
    fresh = dict(headers)
    fresh[GENERATION] = number(headers, GENERATION) + 1
    for name, value in changes.items():
        fresh[PREFIX + name.replace("_", "-")] = value
    return fresh


def unasked(headers: Mapping[str, Header]) -> Headers:
    """Headers for a request that has been answered and stays, as a dead letter: it is none any more."""
    return {name: value for name, value in headers.items() if name not in _OF_A_REQUEST}


def revived(headers: Mapping[str, Header]) -> Headers:
    """Headers for a dead letter that goes back to its queue: its past is forgotten, the user's headers stay."""
    gone = {*_OF_A_DEATH, *_OF_THE_PAST}
    kept = {name: value for name, value in headers.items() if name not in gone}
    return rescheduled(kept)


def marked(headers: Headers) -> bool:
    """The event is suspected of killing executors: it came back twice without an outcome, or has killed one. If it
    comes back again without an outcome, that is counted: so whoever only held it gives it back as a fresh copy."""
    return bool(headers) and (SUSPECT in headers or number(headers, CRASHES) > 0)
