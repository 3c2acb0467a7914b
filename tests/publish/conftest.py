"""A registry of each test's own."""

from collections.abc import Iterator

import pytest

from postroom.queues import registry


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    snapshot = registry.Snapshot()
    yield
    snapshot.restore()
