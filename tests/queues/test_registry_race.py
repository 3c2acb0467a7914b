"""An unknown name makes the workers be imported once, and every thread that asks meanwhile waits for that."""

import threading
from collections.abc import Iterator

import pytest

from postroom.queues import registry
from postroom.queues.queue import Queue


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    kept = registry.Snapshot()
    yield
    kept.restore()


def test_a_thread_that_asks_during_the_import_gets_the_queue_too() -> None:
    importing, go_on = threading.Event(), threading.Event()
    imports = []

    def load() -> None:
        importing.set()
        assert go_on.wait(10)
        imports.append(Queue("late-one"))

    registry.on_unknown_queue(load)
    found: list[str] = []

    def ask() -> None:
        found.append(registry.queue("late-one").name)

    first, second = threading.Thread(target=ask), threading.Thread(target=ask)
    first.start()
    assert importing.wait(10)
    second.start()
    go_on.set()
    first.join(10)
    second.join(10)
    assert found == ["late-one", "late-one"]
    assert len(imports) == 1
