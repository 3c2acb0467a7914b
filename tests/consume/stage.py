"""A folder, a broker, and consumers that are started, signalled and watched."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from postroom.brokers.base import Broker, Fate
from postroom.brokers.connect import connect
from postroom.wire import headers as h
from postroom.wire.message import Header, Message, new_id

ROOT = Path(__file__).resolve().parents[2]

PATIENCE = 20.0


class Stage:
    """``folder`` is temporary; ``url`` is the broker's."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.broker: Broker = connect(url)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._logs: dict[int, Path] = {}

    def publish(self, queue: str, *payloads: Any, headers: dict[str, Header] | None = None) -> list[str]:
        """Publishes payloads as JSON, or bytes as they are. Returns their ids."""
        messages = [
            Message(new_id(), p if isinstance(p, bytes) else json.dumps(p).encode(), dict(headers or {}), time.time())
            for p in payloads
        ]
        self.broker.publish(queue, messages, 0, 10)
        return [message.id for message in messages]

    def start(self, *arguments: str, terminal: int | None = None, **environment: str) -> "subprocess.Popen[bytes]":
        """``python ARGUMENTS``. Its stdout is the ``terminal``, or with its stderr in the log."""
        log = self.folder / f"log-{len(self._processes)}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env={
                    **os.environ,
                    "STAGE_FOLDER": str(self.folder),
                    "POSTROOM_BROKER": self.url,
                    "PYTHONPATH": f"{ROOT}/src:{ROOT}",
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=output if terminal is None else terminal,
                stderr=output,
                start_new_session=True,
            )
        self._processes.append(process)
        self._logs[process.pid] = log
        return process

    def consumer(self, *flags: str, app: str = "tests.apps.shapes", **more: Any) -> "subprocess.Popen[bytes]":
        """``process_queue`` for this application."""
        return self.start("-m", "postroom", "process_queue", "--app", app, *flags, **more)

    def effects(self, what: str) -> list[dict[str, Any]]:
        """What the workers have noted under this word."""
        path = self.folder / "effects"
        lines = path.read_text().splitlines() if path.exists() else []
        return [effect for effect in map(json.loads, lines) if effect["what"] == what]

    def ns(self, what: str = "end") -> list[Any]:
        """The numbers of the events that workers noted under this word, in order."""
        return [effect["n"] for effect in self.effects(what)]

    def dead(self, queue: str) -> list[Message]:
        """The dead letters."""
        letters: list[Message] = []

        def look(letter: Message) -> Fate:
            letters.append(letter)
            return Fate.KEEP

        self.broker.sweep_dead(queue, look)
        return letters

    def reasons(self, queue: str) -> dict[str, str]:
        """Why each dead letter died, by its id."""
        return {letter.id: h.text(letter.headers, h.REASON) for letter in self.dead(queue)}

    def empty(self, queue: str) -> bool:
        """Nothing waits, is in hand or delayed."""
        figures = self.broker.figures(queue)
        return not (figures.ready or figures.in_hand or figures.delayed)

    def log(self, process: "subprocess.Popen[bytes] | None" = None) -> str:
        """What one process has said, or all of them."""
        paths = [self._logs[process.pid]] if process is not None else list(self._logs.values())
        return "".join(path.read_text(errors="replace") for path in paths)

    def until(self, condition: Callable[[], Any], seconds: float = PATIENCE) -> None:
        """Waits for the condition. Fails with all logs when it does not come."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds} s in vain; {self._told()}")
            time.sleep(0.01)

    def _told(self) -> str:
        path = self.folder / "effects"
        effects = path.read_text()[-3000:] if path.exists() else ""
        return f"the last effects:\n{effects}\nthe logs:\n{self.log()[-8000:]}"

    def stop(self, process: "subprocess.Popen[bytes]", seconds: float = PATIENCE) -> int:
        """SIGTERM; the exit status."""
        process.terminate()
        return process.wait(seconds)

    def open_gate(self, name: str = "gate") -> None:
        """Lets the workers on that wait at it."""
        (self.folder / name).touch()

    def end(self) -> None:
        """Kills whatever still runs. No consumer may have stumbled unnoticed."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.broker.close()
        log = self.log()
        assert "Exception in callback" not in log, log
        assert "exception was never retrieved" not in log, log


def children(pid: int) -> list[int]:
    """The processes that this one has started."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def alive(pid: int) -> bool:
    """The process runs, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(pid: int) -> None:
    """SIGKILL, to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
