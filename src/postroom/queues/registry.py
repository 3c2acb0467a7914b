"""The one list of queues and workers, filled by their declarations. Every other part reads it."""

import threading
from collections.abc import Callable
from typing import Any

from postroom.errors import UnknownQueue, did_you_mean

from . import assign, discovery
from .assign import Assignment
from .queue import Queue, declared

_load_workers: Callable[[], None] | None = discovery.load_configured
_loading = threading.RLock()


def queue(name: str) -> Queue[Any]:
    """The queue of this name. Where it is unknown the application's workers are imported, once: they may
    declare it. Raises UnknownQueue, naming the closest."""
    global _load_workers
    found = declared.get(name)
    if found is None and _load_workers is not None:
        # Re-entrant: what is imported may ask too. Another thread waits until the import is through.
        with _loading:
            if _load_workers is not None:
                load, _load_workers = _load_workers, _being_loaded
                try:
                    load()
                except BaseException:
                    _load_workers = load
                    raise
                _load_workers = None
        found = declared.get(name)
    if found is None:
        raise UnknownQueue(f"no queue {name!r} is declared{did_you_mean(name, list(declared))}")
    return found


def _being_loaded() -> None:
    """Stands for the import while it runs: the importing thread itself finds nothing more."""


def queues() -> list[Queue[Any]]:
    """All declared queues, by name."""
    return [declared[name] for name in sorted(declared)]


def assignments() -> dict[str, Assignment]:
    """The workers by the name of their queue."""
    return dict(sorted(assign.assigned.items()))


def on_unknown_queue(load_workers: Callable[[], None]) -> None:
    """Sets what imports the application's workers when a queue's name is not known: by default the application
    that the settings name is imported."""
    global _load_workers
    _load_workers = load_workers


class Snapshot:
    """The registry as it stands, to be put back: for tests that declare queues of their own."""

    def __init__(self) -> None:
        self._kept = dict(declared), dict(assign.assigned), _load_workers

    def restore(self) -> None:
        """Puts it back."""
        global _load_workers
        queues, assignments, _load_workers = self._kept
        declared.clear()
        declared.update(queues)
        assign.assigned.clear()
        assign.assigned.update(assignments)
