"""What surrounds every publish and every consume: plain generator functions that yield once.

    @around_consume
    def timed(queue: str, events: tuple[Event, ...]) -> Iterator[None]:
        start = monotonic()
        yield
        log(queue, monotonic() - start)

What ``consume`` raises is raised at the ``yield``. The first registered is the outermost.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TypeVar

from postroom.wire.event import Event
from postroom.wire.message import Message

AroundConsume = Callable[[str, tuple[Event, ...]], Iterator[None]]
AroundPublish = Callable[[str, list[Message]], Iterator[None]]
T = TypeVar("T")

_consuming: list[Callable[[str, tuple[Event, ...]], AbstractContextManager[None]]] = []
_publishing: list[Callable[[str, list[Message]], AbstractContextManager[None]]] = []


def around_consume(function: AroundConsume) -> AroundConsume:
    """Runs ``function(queue, events)`` around every consume in this process; a batch is one consume."""
    _consuming.append(contextmanager(function))
    return function


def around_publish(function: AroundPublish) -> AroundPublish:
    """Runs ``function(queue, messages)`` around every publish in this process. It may add headers."""
    _publishing.append(contextmanager(function))
    return function


def consuming(queue: str, events: tuple[Event, ...]) -> AbstractContextManager[object] | None:
    """All that surrounds a consume, or None where nothing does (the hot path asks for each event)."""
    return _entered(_consuming, queue, events) if _consuming else None


def publishing(queue: str, messages: list[Message]) -> AbstractContextManager[object] | None:
    """All that surrounds a publish, or None."""
    return _entered(_publishing, queue, messages) if _publishing else None


def _entered(around: list[Callable[[str, T], AbstractContextManager[None]]], queue: str, what: T) -> ExitStack | None:
    """Enters all of them. Where one raises, those before it are left in order; None if one of them swallows that."""
    with ExitStack() as stack:
        for enter in around:
            stack.enter_context(enter(queue, what))
        return stack.pop_all()
    return None
