"""The application under test, on each broker that processes can share."""

from pathlib import Path

import pytest

from .project import Project


@pytest.fixture(params=["sqlite", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """An application whose queues no other test uses."""
    if request.param == "sqlite":
        return Project(tmp_path, f"sqlite:///{tmp_path}/postroom.db")
    return Project(tmp_path, request.getfixturevalue("rabbit_node").url)


@pytest.fixture
def local(tmp_path: Path) -> Project:
    """The same on SQLite alone, for what does not depend on the broker."""
    return Project(tmp_path, f"sqlite:///{tmp_path}/postroom.db")
