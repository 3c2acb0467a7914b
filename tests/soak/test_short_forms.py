"""Every soak in its short form. The long ones: ``make soak CASE=…``."""

import importlib
from types import ModuleType

import pytest
from benchmarks.__main__ import BOTH_BROKERS, SOAKS
from benchmarks.result import Result

CASES = [
    pytest.param(case, broker, marks=pytest.mark.rabbitmq if broker == "rabbitmq" else ())
    for case in SOAKS
    for broker in ("sqlite", "rabbitmq")
    if case in BOTH_BROKERS or case.startswith("sqlite") == (broker == "sqlite")
]


@pytest.mark.parametrize(("case", "broker"), CASES)
def test_short_form_holds(case: str, broker: str, request: pytest.FixtureRequest) -> None:
    if broker == "rabbitmq":
        request.getfixturevalue("rabbit_installed")
    module: ModuleType = importlib.import_module(f"benchmarks.soaks.{case.replace('-', '_')}")
    result: Result = module.run(short=True, broker=broker) if case in BOTH_BROKERS else module.run(short=True)
    assert result.held, result.line()
