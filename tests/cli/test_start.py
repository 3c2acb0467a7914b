"""Commands start often: what they import is what they need."""

import subprocess
import sys
import time

HEAVY = {"asyncio", "pika", "sqlite3", "logging", "django"}


def _seconds(*words: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return time.perf_counter() - started


def test_help_is_quick() -> None:
    pairs = [(_seconds("-m", "postroom", "--help"), _seconds("-c", "import argparse, msgspec")) for _ in range(7)]
    ours, bare = (min(times) for times in zip(*pairs, strict=True))
    assert ours <= 2 * bare


def test_help_imports_nothing_heavy() -> None:
    for words in (
        ["--help"],
        ["--version"],
        ["process_queue", "--help"],
        ["queues", "--help"],
        ["publish", "--help"],
    ):
        code = f"import sys; from postroom.cli.main import main; main({words}); print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert not HEAVY.intersection(done.stdout.split()), words


def test_help_names_every_verb() -> None:
    from postroom.cli.main import VERBS, verb_module

    shown = subprocess.run([sys.executable, "-m", "postroom", "--help"], check=True, capture_output=True, text=True)
    for name in VERBS:
        assert f"\n  {name} " in shown.stdout
        assert (verb_module(name).__doc__ or "").strip()
