"""Fixtures that several test rooms share."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests import rabbit


@pytest.fixture(scope="session")
def rabbit_installed() -> None:
    """The test needs a RabbitMQ server: skipped where there is none, failed where one is promised."""
    if not rabbit.installed():
        if rabbit.DEBIAN is not None:
            pytest.fail(f"POSTROOM_TEST_BROKER: {rabbit.DEBIAN} holds no RabbitMQ; tests/build_broker.sh makes one")
        if os.environ.get("CI") == "true":
            pytest.fail("rabbitmq-server is not installed: apt-get install rabbitmq-server")
        pytest.skip("RABBITMQ IS NOT TESTED: rabbitmq-server is not installed (apt-get install rabbitmq-server)")


@pytest.fixture(scope="session")
def amqp_tools() -> None:
    """The test needs Debian's amqp-tools: skipped where they are missing, failed under CI."""
    if shutil.which("amqp-publish") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("amqp-tools is not installed: apt-get install amqp-tools")
        pytest.skip("AMQP-TOOLS ARE NOT TESTED: not installed (apt-get install amqp-tools)")


@pytest.fixture(scope="session")
def rabbit_node(rabbit_installed: None) -> Iterator[rabbit.RabbitNode]:
    """A RabbitMQ node of this test process's own. Give each test a queue name of its own.

    Whoever kills it starts it again.
    """
    with rabbit.RabbitNode() as node:
        yield node
