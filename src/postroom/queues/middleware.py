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
F = TypeVar("F", AroundConsume, AroundPublish)

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
    if not _consuming:
        return None
    with ExitStack() as stack:
        for enter in _consuming:
            stack.enter_context(enter(queue, events))
        return stack.pop_all()  # where one of them raised, those before it are left in order
    return None


def publishing(queue: str, messages: list[Message]) -> AbstractContextManager[object] | None:
    """All that surrounds a publish, or None."""
    if not _publishing:
        return None
    with ExitStack() as stack:
        for enter in _publishing:
            stack.enter_context(enter(queue, messages))
        return stack.pop_all()
    return None
