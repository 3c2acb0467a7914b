"""Every soak in its short form. The long ones: ``make soak CASE=…``.

In classes, because those are what test processes share out among one another.
"""

import importlib
from types import ModuleType

import pytest
from benchmarks.__main__ import BOTH_BROKERS, SOAKS
from benchmarks.result import Result

ON_SQLITE = [case for case in SOAKS if case in BOTH_BROKERS or case.startswith("sqlite")]
OF_RABBITMQ = [case for case in SOAKS if case not in ON_SQLITE]


class TestOnSQLite:
    @pytest.mark.parametrize("case", ON_SQLITE)
    def test_short_form_holds(self, case: str) -> None:
        holds(case, "sqlite")


OF_THE_BROKER = ("poison-neighbours", "order")  # where the broker makes a difference; the others are slow then


@pytest.mark.rabbitmq
@pytest.mark.usefixtures("rabbit_installed")
class TestOnRabbitMQ:
    @pytest.mark.parametrize("case", OF_THE_BROKER)
    def test_short_form_holds(self, case: str) -> None:
        holds(case, "rabbitmq")


@pytest.mark.rabbitmq
@pytest.mark.usefixtures("rabbit_installed")
class TestMoreOnRabbitMQ:
    @pytest.mark.slow
    @pytest.mark.parametrize("case", [case for case in BOTH_BROKERS if case not in OF_THE_BROKER])
    def test_short_form_holds(self, case: str) -> None:
        holds(case, "rabbitmq")


@pytest.mark.rabbitmq
@pytest.mark.usefixtures("rabbit_installed")
class TestFaultsOfRabbitMQ:
    @pytest.mark.parametrize("case", OF_RABBITMQ[::2])
    def test_short_form_holds(self, case: str) -> None:
        holds(case, "rabbitmq")


@pytest.mark.rabbitmq
@pytest.mark.usefixtures("rabbit_installed")
class TestMoreFaultsOfRabbitMQ:
    @pytest.mark.parametrize("case", OF_RABBITMQ[1::2])
    def test_short_form_holds(self, case: str) -> None:
        holds(case, "rabbitmq")


def holds(case: str, broker: str) -> None:
    module: ModuleType = importlib.import_module(f"benchmarks.soaks.{case.replace('-', '_')}")
    result: Result = module.run(short=True, broker=broker) if case in BOTH_BROKERS else module.run(short=True)
    assert result.held, result.line()
