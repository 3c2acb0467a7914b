"""What became of a publish: nothing to say, or one error that names the unpublished."""

from collections.abc import Sequence

from postroom.errors import NotPublished, PublishUnknown
from postroom.wire.message import Message

from .calls import CONFIRMED, UNKNOWN, WRITTEN, Call, Item


class Report:
    """Gathers the windows of one publish of ``count`` messages."""

    def __init__(self, queue: str, count: int, timeout: float) -> None:
        self.unpublished: list[str] = []
        self._queue = queue
        self._count = count
        self._timeout = timeout
        self._unknown: str | None = None  # why, if that is so for any
        self._why = ""

    def add(self, call: Call, states: list[tuple[Item, int]]) -> None:
        """A window that was tried, and the state in which each of its items was left."""
        bad = [(item, state) for item, state in states if state != CONFIRMED]
        self.unpublished += [item.id for item, _ in bad]
        unknown = [item for item, state in bad if state in (WRITTEN, UNKNOWN)]
        if unknown and not self._unknown:
            self._unknown = next((item.why for item in unknown if item.why), "") or (
                f"no confirm within {self._timeout:g} seconds"
            )
        if bad and not self._why:
            self._why = next((item.why for item, _ in bad if item.why), "") or (
                f"RabbitMQ did not take it within {self._timeout:g} seconds{f' ({call.why})' if call.why else ''}"
            )

    def leave(self, window: Sequence[Message], why: str) -> None:
        """A window that was not tried."""
        self.unpublished += [message.id for message in window]
        self._why = self._why or why

    def judge(self) -> None:
        """Raises NotPublished, or PublishUnknown if that is so for any, unless all are published."""
        ids = self.unpublished
        if not ids:
            return
        what = f"the event {ids[0]}" if self._count == 1 else f"{len(ids):,} of {self._count:,} events"
        if self._unknown:
            raise PublishUnknown(
                f"it is unknown whether {what} reached the queue {self._queue!r}: {self._unknown};"
                " publish again with the same event_id",
                ids,
            )
        raise NotPublished(f"{what} could not be published to the queue {self._queue!r}: {self._why}", ids)
