"""For ``unittest.TestCase`` and Django's."""

import unittest
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from postroom.queues.queue import Queue

    from .drained import Drained
    from .room import Room

    # To a type checker a mixin is nothing without what it is mixed into.
    _Base = unittest.TestCase
else:
    _Base = object

P = TypeVar("P")


class PostroomMixin(_Base):
    """Queues in memory in place of the broker, empty at the start of each test.

    Name it before the TestCase: ``class InviteTests(PostroomMixin, TestCase)``. In Django's TestCase, whose
    transaction never commits, what was to happen on commit happens in ``published`` and ``drain``.
    """

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Runs the test with its queues. (Not ``setUp``: that is the test's own.)"""
        from .room import open_room

        with open_room():
            return super().run(result)

    def published(self, queue: "Queue[P] | str") -> list[Any]:
        """As ``Room.published``."""
        return _room().published(queue)

    def drain(self, raises: bool = True) -> "Drained":
        """As ``Room.drain``."""
        return _room().drain(raises)

    async def adrain(self, raises: bool = True) -> "Drained":
        """``drain`` for async tests."""
        return await _room().adrain(raises)


def _room() -> "Room":
    # Not kept on the test: Django's parallel runner sends tests, which fail, from process to process.
    from .room import current_room

    return current_room()
