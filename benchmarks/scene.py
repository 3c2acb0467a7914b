"""What a soak plays on: a folder, a broker, and processes that are started, killed and watched."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.rabbit import RabbitNode, kill_group

from postroom.brokers.base import Broker
from postroom.brokers.connect import connect

ROOT = Path(__file__).resolve().parents[1]


class Scene:
    """``folder`` is temporary; ``url`` is the broker's; ``node`` the private RabbitMQ node, if it is one."""

    def __init__(self, folder: Path, url: str, node: RabbitNode | None) -> None:
        self.folder = folder
        self.url = url
        self.node = node
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def database(self) -> Path:
        """The SQLite broker's file."""
        return self.folder / "postroom.db"

    def broker(self) -> Broker:
        """A way to the broker of this process's own."""
        return connect(self.url)

    def effects(self, name: str = "effects") -> list[str]:
        """The lines that workers or publishers have written to the file of this name."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def environment(self, **more: str) -> dict[str, str]:
        """What a process on this scene has in its environment."""
        return {
            **os.environ,
            "SCENE_FOLDER": str(self.folder),
            "POSTROOM_BROKER": self.url,
            "PYTHONPATH": f"{ROOT}/src:{ROOT}",
            **more,
        }

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """``python ARGUMENTS``; its stderr goes to a file of the folder."""
        return self.start_program(sys.executable, *arguments, **environment)

    def start_program(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """The same for any program."""
        number = len(self._processes)
        with (self.folder / f"stderr-{number}").open("wb") as stderr:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment(**environment),
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def consumer(self, app: str, *flags: str, **environment: str) -> subprocess.Popen[bytes]:
        """A ``process_queue`` for all queues of ``benchmarks.apps.APP``."""
        return self.start(
            "-m", "postroom", "process_queue", "--app", f"benchmarks.apps.{app}", "--all", *flags, **environment
        )

    def stop(self, consumers: "list[subprocess.Popen[bytes]]", seconds: float) -> list[int]:
        """SIGTERM to all, once they consume; their exit statuses, for which it waits ``seconds`` each."""
        until(lambda: all(executors_of(process.pid) for process in consumers), 20)
        for process in consumers:
            process.terminate()
        return [process.wait(seconds) for process in consumers]

    def log(self) -> str:
        """All that the processes wrote to stderr, for a post-mortem."""
        return "".join(p.read_text(errors="replace") for p in sorted(self.folder.glob("stderr-*")))

    def end(self) -> None:
        """Kills whatever still runs, and its children."""
        for process in self._processes:
            if process.poll() is None:
                kill_group(process)


@contextlib.contextmanager
def scene(broker: str, config: str = "") -> Iterator[Scene]:
    """A scene on ``"sqlite"``, on a private ``"rabbitmq"`` node, or at the URL of another broker; nothing is left of
    it."""
    folder = Path(tempfile.mkdtemp(prefix="postroom-soak-"))
    node = RabbitNode(config) if broker == "rabbitmq" else None
    if node is not None:
        node.start()
    url = node.url if node is not None else f"sqlite:///{folder}/postroom.db" if broker == "sqlite" else broker
    its = Scene(folder, url, node)
    try:
        yield its
    finally:
        its.end()
        if node is not None:
            node.destroy()
        shutil.rmtree(folder, ignore_errors=True)


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Waits for the condition, so long at most. Returns whether it came."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def executors_of(consumer: int) -> list[int]:
    """The process ids of a consumer's executors."""
    try:
        children = Path(f"/proc/{consumer}/task/{consumer}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in children]


def kill(pid: int) -> None:
    """SIGKILL, to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
