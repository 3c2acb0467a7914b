"""One queue inside an executor: its worker, and how an event of it is decoded and consumed."""

import inspect
from collections.abc import Callable
from typing import Any

from postroom.queues.assign import Assignment
from postroom.wire import headers as h
from postroom.wire.codec import BadBody, parse
from postroom.wire.message import Headers


class Undecodable(Exception):
    """A body that is no payload of the queue's; ``newer`` if its version is one we do not know yet."""

    def __init__(self, reason: str, newer: bool) -> None:
        super().__init__(reason)
        self.newer = newer


def refuse_what_never_ran(returned: Any) -> None:
    """Raises TypeError if what a consume returned shows that it has not run: a coroutine or a generator, as an
    async function behind a decorator gives. Acknowledged, its event would be lost."""
    if inspect.isawaitable(returned) or inspect.isgenerator(returned) or inspect.isasyncgen(returned):
        kind = "coroutine" if inspect.iscoroutine(returned) else type(returned).__name__
        close = getattr(returned, "close", None)
        if close is not None:
            close()
        raise TypeError(f"the worker returned a {kind}, so it has not run: assign the async function itself")


class Lane:
    """``number`` is its place in the executor. ``consume`` takes a payload, or a list of them for a batch
    worker; for an async function it returns an awaitable."""

    def __init__(self, number: int, assignment: Assignment) -> None:
        self.number = number
        self.queue = assignment.queue
        self.name = assignment.queue.name
        self.options = assignment.options
        self.kind = assignment.kind
        self.consume: Callable[[Any], Any]
        self._worker: Any = None
        if inspect.isclass(assignment.target):
            self._worker = assignment.target()
            self.consume = self._worker.consume_batch if self.kind == "batch" else self._worker.consume
            self._worker.start()
        else:
            self.consume = assignment.target
        # Straight to the decoder, unless a version may stand in between.
        self._decode = assignment.queue.codec.decode

    def decode(self, body: bytes, headers: Headers) -> Any:
        """The payload. Raises Undecodable."""
        version = max(1, h.number(headers, h.VERSION, 1)) if headers else 1
        try:
            if version < self.queue.version:
                return self._upgraded(body, version)
            return self._decode(body)
        except BadBody as error:
            raise Undecodable(str(error), version > self.queue.version) from error

    def _upgraded(self, body: bytes, version: int) -> Any:
        assert self.queue.upgrade is not None
        data = parse(body)
        try:
            data = self.queue.upgrade(data, version)
        except Exception as error:
            raise BadBody(f"upgrade() from version {version} raised {type(error).__name__}: {error}") from error
        return self.queue.codec.convert(data)

    def stop(self) -> None:
        """Lets the worker close what it opened."""
        if self._worker is not None:
            self._worker.stop()
