"""A small application in a folder of its own, and the command run in it as a user runs it."""

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from postroom.wire.message import new_id

QUEUES = """
from dataclasses import dataclass
from postroom import Queue

@dataclass
class Invite:
    email: str
    team: int

invites = Queue("{invites}", Invite, max_attempts=1)
idle = Queue("{idle}")
"""

WORKERS = """
from postroom import assign_queue
from .queues import Invite, invites

@assign_queue(invites)
def send(event: Invite) -> None:
    if event.team == 13:
        raise ValueError("no team \\x1b[31m13")
    if event.team == 14:
        raise KeyError("fourteen")
"""


class Project:
    """``shop``: a queue with a worker, and one without. ``invites`` and ``idle`` are their names."""

    def __init__(self, folder: Path, broker: str) -> None:
        self.folder = folder
        self.broker = broker
        suffix = new_id()[-8:].lower()
        self.invites, self.idle = f"invites-{suffix}", f"idle-{suffix}"
        package = folder / "shop"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "queues.py").write_text(QUEUES.format(invites=self.invites, idle=self.idle))
        (package / "workers.py").write_text(WORKERS)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("POSTROOM_")},
            "POSTROOM_APP": "shop",
            "POSTROOM_BROKER": broker,
            "COLUMNS": "100",
        }

    def command(self, *words: str, stdin: str = "") -> "Result":
        """``postroom WORDS``, off a terminal."""
        done = subprocess.run(
            [sys.executable, "-m", "postroom", *words],
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def ok(self, *words: str, stdin: str = "") -> str:
        """``command``, which must succeed: its output."""
        result = self.command(*words, stdin=stdin)
        assert result.status == 0, result
        assert result.err == ""
        return result.out

    def on_terminal(self, *words: str, typed: str = "") -> "Result":
        """``command`` on a terminal; what it prints there is in ``out``."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "postroom", *words],
            cwd=self.folder,
            env=self.environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        os.write(ours, typed.encode())
        shown = b""
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # Linux tells the end of a terminal so
                break
            if not data:
                break
            shown += data
        os.close(ours)
        return Result(process.wait(30), shown.decode().replace("\r\n", "\n"), "")

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """A command that goes on."""
        return subprocess.Popen(
            [sys.executable, "-m", "postroom", *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def figures(self, queue: str) -> dict[str, Any]:
        """What ``queues --json`` tells of one queue."""
        found = json.loads(self.ok("queues", queue, "--json"))
        figures: dict[str, Any] = found["queues"][0]
        return figures

    def consume_until(self, true: Callable[[], bool], *options: str) -> "Result":
        """Runs ``process_queue`` until something is so, then stops it as a supervisor does."""
        process = self.start("process_queue", "--queue", self.invites, *options)
        try:
            eventually(true, process)
            process.terminate()
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
        return Result(process.returncode, out, err)

    def bury(self, *teams: int) -> None:
        """Dead letters, one for each team (13 or 14), made as they are made: by a worker that fails."""
        lines = "".join(
            json.dumps({"email": f"{n}@example.com", "team": team}) + "\n" for n, team in enumerate(teams)
        )
        self.ok("publish", self.invites, stdin=lines)
        before = self.figures(self.invites)["dead"]
        self.consume_until(lambda: self.figures(self.invites)["dead"] == before + len(teams))


class Result:
    """How a command ended and what it printed."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    def __repr__(self) -> str:
        return f"status {self.status}\n--- out\n{self.out}\n--- err\n{self.err}"


def eventually(true: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Waits until something is so, as long as the process lives."""
    deadline = time.monotonic() + 30
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it has not come true in 30 seconds"
