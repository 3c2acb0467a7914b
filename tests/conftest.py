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


def _needs(program: str, package: str) -> None:
    """Skips a test where the program of this Debian package is missing; fails it under CI, where it can be had."""
    if shutil.which(program) is None:
        if os.environ.get("CI") == "true" and shutil.which("apt-get") is not None:
            pytest.fail(f"{program} is not installed: apt-get install {package}")
        pytest.skip(f"{package.upper()} IS NOT TESTED: {program} is not installed (apt-get install {package})")


@pytest.fixture(scope="session")
def supervisor() -> None:
    """The test needs supervisord."""
    _needs("supervisord", "supervisor")


@pytest.fixture(scope="session")
def systemd() -> None:
    """The test needs systemd's tools; systemd itself need not run."""
    _needs("systemd-analyze", "systemd")


@pytest.fixture(scope="session")
def nagios() -> None:
    """The test needs Nagios."""
    _needs("nagios4", "nagios4-core")


@pytest.fixture(scope="session")
def rabbit_node(rabbit_installed: None) -> Iterator[rabbit.RabbitNode]:
    """A RabbitMQ node of this test process's own. Give each test a queue name of its own.

    Whoever kills it starts it again.
    """
    with rabbit.RabbitNode() as node:
        yield node
