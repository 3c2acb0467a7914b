"""An unknown name makes the application be imported, once, and every thread that asks meanwhile waits for that."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from postroom.queues import discovery, registry
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


def test_outside_django_too_an_unknown_name_imports_the_application_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "late_shop").mkdir()
    (tmp_path / "late_shop" / "__init__.py").write_text("")
    (tmp_path / "late_shop" / "workers.py").write_text("from postroom import Queue\nQueue('late-orders')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("POSTROOM_APP", "late_shop")
    registry.on_unknown_queue(discovery.load_configured)
    assert registry.queue("late-orders").name == "late-orders"
