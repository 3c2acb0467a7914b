"""Each test of this folder runs once for each broker."""

from collections.abc import Iterator

import pytest
from tests.brokers.conformance.site import SITES, Memory, RabbitMQ, Site, SQLite, new_queue

from postroom.brokers.base import Broker


@pytest.fixture(
    scope="session",
    params=[pytest.param(name, marks=pytest.mark.rabbitmq) if name == "rabbitmq" else name for name in SITES],
)
def shared_site(request: pytest.FixtureRequest) -> Iterator[Site]:
    site: Site
    if request.param == "memory":
        site = Memory()
    elif request.param == "sqlite":
        site = SQLite()
    else:
        site = RabbitMQ(request.getfixturevalue("rabbit_node"))
    yield site
    site.end()


@pytest.fixture
def site(shared_site: Site) -> Iterator[Site]:
    yield shared_site
    shared_site.close()


@pytest.fixture
def broker(site: Site) -> Broker:
    return site.broker()


@pytest.fixture
def queue() -> str:
    return new_queue()
