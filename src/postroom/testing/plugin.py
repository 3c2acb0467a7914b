"""The pytest plugin: one fixture."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .room import Room


@pytest.fixture
def postroom(request: pytest.FixtureRequest) -> "Iterator[Room]":
    """Queues in memory in place of the broker, empty at the start: ``published(queue)`` and ``drain()``."""
    from .room import open_room

    # The test's own transaction is told from those of what it tests by being there first.
    if "db" in request.fixturenames:
        request.getfixturevalue("db")
    with open_room() as room:
        yield room
