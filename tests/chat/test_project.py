"""The chat's own tests, run in it as its developers would run them."""

import os
import subprocess
import sys
from pathlib import Path

CHAT = Path(__file__).parents[2] / "examples" / "chat"


def chat(*words: str) -> "subprocess.CompletedProcess[str]":
    """Runs Python in the chat's folder, away from the settings of whoever runs this."""
    strange = ("CHAT_", "DJANGO_", "POSTROOM_", "PYTEST_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    return subprocess.run(
        [sys.executable, *words], cwd=CHAT, env=env, capture_output=True, text=True, timeout=100, check=False
    )


def test_its_tests() -> None:
    ended = chat("-m", "pytest")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_its_migrations_are_complete(tmp_path: Path) -> None:
    ended = chat("manage.py", "makemigrations", "--check", "--dry-run")
    assert ended.returncode == 0, ended.stdout + ended.stderr
