"""The FastAPI example, as it stands: its endpoint here, its worker in a ``process_queue`` of its own."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from fastapi.testclient import TestClient

from postroom.queues.registry import Snapshot
from postroom.settings import use
from postroom.testing.drained import Drained
from postroom.testing.room import Room

EXAMPLE = Path(__file__).parents[2] / "examples" / "minimal" / "fastapi_app.py"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A copy in a folder of its own, where its queues are kept."""
    path = tmp_path / EXAMPLE.name
    shutil.copy(EXAMPLE, path)
    spec = importlib.util.spec_from_file_location("fastapi_app", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fastapi_app", module)
    snapshot = Snapshot()
    spec.loader.exec_module(module)
    yield module
    snapshot.restore()
    use({}, Path.cwd(), "default")


def test_its_length() -> None:
    lines = EXAMPLE.read_text().split('"""')[2].splitlines()
    assert len([line for line in lines if line.strip()]) <= 20


def test_it_is_tested_without_a_broker(
    example: ModuleType, postroom: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = TestClient(example.app).post("/invites", json={"email": "ada@example.com", "team": 7})
    assert answer.status_code == 202
    assert len(answer.json()) == 26
    assert postroom.drain() == Drained(done=1)
    assert capsys.readouterr().out == "Dear ada@example.com, join team 7!\n"


def test_it_refuses_what_is_no_invite(example: ModuleType, postroom: Room) -> None:
    assert TestClient(example.app).post("/invites", json={"email": "ada@example.com"}).status_code == 422
    assert postroom.published("invites") == []


def test_it_runs(example: ModuleType, tmp_path: Path) -> None:
    answer = TestClient(example.app).post("/invites", json={"email": "ada@example.com", "team": 7})
    assert answer.status_code == 202
    command = [sys.executable, "-m", "postroom", "process_queue", "--app", "fastapi_app", "--all"]
    env = dict(os.environ) | {"PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "Dear ada@example.com, join team 7!\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
