"""What a worker is: one event at a time, or a batch. Subclass, or assign a plain or async function."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

P = TypeVar("P")


class Worker(ABC, Generic[P]):
    """Consumes one event at a time. One instance is made per executor; ``start`` runs once, before the first."""

    def start(self) -> None:
        """Opens what ``consume`` needs for long, such as a connection."""
        return

    def stop(self) -> None:
        """Closes it. Called when the executor stops in order, not when it is killed."""
        return

    @abstractmethod
    def consume(self, event: P) -> object:
        """Does the work. Returning acknowledges the event; any exception is a failed attempt, except
        ``Retry``, ``Bury`` and ``Drop``, which say what shall happen. To a request, what is returned, or the
        exception, is the reply."""


class BatchWorker(ABC, Generic[P]):
    """Consumes events by the list."""

    def start(self) -> None:
        """As ``Worker.start``."""
        return

    def stop(self) -> None:
        """As ``Worker.stop``."""
        return

    @abstractmethod
    def consume_batch(self, events: list[P]) -> None:
        """Does the work for all of them. Returning acknowledges all. Any exception makes the batch be
        halved and run again, until the bad events stand alone: so what this does must be undone by the
        exception (a transaction), or bear repeating."""
