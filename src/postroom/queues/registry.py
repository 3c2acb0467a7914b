"""The one list of queues and workers, filled by their declarations. Every other part reads it."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from postroom.errors import DeclarationError, UnknownQueue, did_you_mean

from . import discovery

if TYPE_CHECKING:
    from .assign import Assignment
    from .queue import Queue

_queues: "dict[str, Queue[Any]]" = {}
_assignments: "dict[str, Assignment]" = {}
_load_workers: Callable[[], None] | None = discovery.load_configured
_loading = threading.RLock()


def add_queue(queue: "Queue[Any]") -> None:
    """Registers a queue. Raises DeclarationError if another queue has its name."""
    if queue.name in _queues:
        raise DeclarationError(f"queue {queue.name!r} is declared twice; import the one Queue instead")
    _queues[queue.name] = queue


def add_assignment(assignment: "Assignment") -> None:
    """Registers a worker. Raises DeclarationError if its queue has one already."""
    name = assignment.queue.name
    known = _assignments.get(name)
    if known is not None:
        raise DeclarationError(
            f"queue {name!r} has a worker already, {known.where}; {assignment.where} cannot be another"
        )
    _assignments[name] = assignment


def declared(name: str) -> "Queue[Any] | None":
    """The queue of this name if it is declared by now."""
    return _queues.get(name)


def queue(name: str) -> "Queue[Any]":
    """The queue of this name. Where it is unknown the application's workers are imported, once: they may
    declare it. Raises UnknownQueue, naming the closest."""
    global _load_workers
    found = _queues.get(name)
    if found is None and _load_workers is not None:
        # Re-entrant: what is imported may ask too. Another thread waits until the import is through.
        with _loading:
            if _load_workers is not None:
                load, _load_workers = _load_workers, _being_loaded
                load()
                _load_workers = None
        found = _queues.get(name)
    if found is None:
        raise UnknownQueue(f"no queue {name!r} is declared{did_you_mean(name, list(_queues))}")
    return found


def _being_loaded() -> None:
    """Stands for the import while it runs: the importing thread itself finds nothing more."""


def queues() -> "list[Queue[Any]]":
    """All declared queues, by name."""
    return [_queues[name] for name in sorted(_queues)]


def assignments() -> "dict[str, Assignment]":
    """The workers by the name of their queue."""
    return dict(sorted(_assignments.items()))


def on_unknown_queue(load_workers: Callable[[], None]) -> None:
    """Sets what imports the application's workers when a queue's name is not known: by default the application
    that the settings name is imported."""
    global _load_workers
    _load_workers = load_workers


class Snapshot:
    """The registry as it stands, to be put back: for tests that declare queues of their own."""

    def __init__(self) -> None:
        self._kept = dict(_queues), dict(_assignments), _load_workers

    def restore(self) -> None:
        """Puts it back."""
        global _load_workers
        queues, assignments, _load_workers = self._kept
        _queues.clear()
        _queues.update(queues)
        _assignments.clear()
        _assignments.update(assignments)
