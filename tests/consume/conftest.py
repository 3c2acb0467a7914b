"""The stage of each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.consume.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A stage on a SQLite file."""
    its = Stage(tmp_path, f"sqlite:///{tmp_path}/postroom.db")
    yield its
    its.end()
