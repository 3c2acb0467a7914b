"""Django's on-commit callbacks in tests that run inside a transaction, which never commits."""

import logging
import sys
from typing import Any

from .application import django_is_used

log = logging.getLogger("postroom")


class TestTransaction:
    """The transactions that are open now are the test's own. Without Django there is none."""

    __test__ = False

    def __init__(self) -> None:
        self._depths: dict[str, int] = {}
        self._done: dict[str, int] = {}
        for alias, connection in _in_transaction():
            self._depths[alias] = len(connection.savepoint_ids)
            self._done[alias] = len(connection.run_on_commit)

    def commit(self) -> None:
        """Runs what was to run on commit, unless the test is inside a further ``atomic()`` of its own, whose end
        decides. As on a real commit, what a callback raises is raised here, unless it is ``robust``."""
        for alias, connection in _in_transaction():
            if self._depths.get(alias) == len(connection.savepoint_ids):
                self._run_callbacks(alias, connection)

    def _run_callbacks(self, alias: str, connection: Any) -> None:
        callbacks = connection.run_on_commit
        # A callback may add others.
        while len(callbacks) > self._done[alias]:
            _, callback, robust = callbacks.pop(self._done[alias])
            try:
                callback()
            except Exception:
                if not robust:
                    raise
                log.exception("a callback of on_commit(robust=True) failed")


def _in_transaction() -> list[tuple[str, Any]]:
    if not django_is_used():
        return []
    connections = sys.modules["django.db"].connections
    return [(each.alias, each) for each in connections.all(initialized_only=True) if each.in_atomic_block]
