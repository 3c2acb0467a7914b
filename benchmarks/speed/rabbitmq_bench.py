"""The stage of the RabbitMQ bench: one private node, and the ways to measure on it."""

import contextlib
import subprocess
import sys
from collections.abc import Callable

import msgspec
from tests.rabbit import kill_group

from benchmarks.apps.count import Visit, visit
from benchmarks.apps.drain import singles
from benchmarks.peers import ENVIRONMENT, WORKERS
from benchmarks.scene import ROOT, Scene, executors_of, until
from benchmarks.speed.c_client import CClient
from postroom import Queue, configure, queue_json_publish_many
from postroom.brokers.base import MissingQueue
from postroom.publish.door import broker

WORK_MICROSECONDS = 120
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"  # `make bench CASE=rabbitmq` makes it

Figures = dict[str, float]


class Bench:
    """``size`` divides all numbers of events."""

    def __init__(self, here: Scene, size: int) -> None:
        self.here = here
        self._size = size
        self._c = CClient(here)
        self._broker = here.broker()
        self._turns = "0"
        configure(broker=here.url)
        self._fill(singles, 1)
        self._c.take_message("singles")
        self._turns = str(int(self.run("spin", "calibrate", WORK_MICROSECONDS)["turns"]))

    def events(self, full: int) -> int:
        """How many instead of so many."""
        return full // self._size

    def run(self, module: str, *arguments: object) -> Figures:
        """What a module of ``benchmarks.apps`` measures and prints."""
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.apps.{module}", *map(str, arguments)],
            cwd=ROOT,
            env=self.here.environment(SPIN_TURNS=self._turns),
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{module} failed:\n{done.stderr[-3000:]}")
        return msgspec.json.decode(done.stdout, type=Figures)

    def close(self) -> None:
        """Disconnects, before the node goes."""
        self._broker.close()
        broker().close()

    # Draining a backlog

    def c_consume(self, full: int, prefetch: int) -> Figures:
        """The C client takes a backlog that Postroom published, acknowledging by 100."""
        self._fill(singles, self.events(full))
        return self._c.run("singles", "consume", self.events(full), prefetch)

    def drain(self, queue: Queue[Visit], full: int) -> Figures:
        """A worker of ``benchmarks.apps.drain``, all guards on, takes a backlog."""
        self._fill(queue, self.events(full))
        command = ("-m", "postroom", "process_queue", "--app", "benchmarks.apps.drain", "--queue", queue.name)
        return self._drained(queue.name, [sys.executable, *command], self.events(full), _end)

    def drain_peer(self, name: str, full: int) -> Figures:
        """The same for a module of ``benchmarks.peers``."""
        events = self.events(full)
        with contextlib.suppress(MissingQueue):
            self._broker.purge(name)
        python = [str(PEERS_PYTHON)]
        publisher = self.here.start_program(*python, "-m", f"benchmarks.peers.{name}", str(events))
        if publisher.wait(120) != 0:
            raise RuntimeError(f"{name} did not publish:\n{self.here.log()[-3000:]}")
        # Killed, with what it left to be purged: Celery takes 10 s to stop.
        return self._drained(name, [*python, *WORKERS[name]], events, kill_group)

    def missing_peers(self) -> list[str]:
        """Those that are not installed, or not as they must be."""
        imports = [(name, [str(PEERS_PYTHON), "-c", f"import benchmarks.peers.{name}"]) for name in WORKERS]
        if not PEERS_PYTHON.exists():
            return list(WORKERS)
        return [name for name, command in imports if self.here.start_program(*command).wait(60) != 0]

    def _drained(
        self, name: str, command: list[str], events: int, stop: "Callable[[subprocess.Popen[bytes]], None]"
    ) -> Figures:
        (self.here.folder / f"drained-{name}").unlink(missing_ok=True)
        consumer = self.here.start_program(*command, DRAIN_EVENTS=str(events), SPIN_TURNS=self._turns, **ENVIRONMENT)
        if not until(lambda: bool(self.here.effects(f"drained-{name}")) or consumer.poll() is not None, 120):
            raise RuntimeError(f"{name} did not finish:\n{self.here.log()[-3000:]}")
        stop(consumer)
        (line,) = self.here.effects(f"drained-{name}") or [""]
        if not line:
            raise RuntimeError(f"{name} ended too soon:\n{self.here.log()[-3000:]}")
        return msgspec.json.decode(line, type=Figures)

    def _fill(self, queue: Queue[Visit], events: int) -> None:
        """So many events, and no others, wait in the queue."""
        self._broker.declare(queue.name)
        self._broker.purge(queue.name)
        queue_json_publish_many(queue, [visit(number) for number in range(events)])

    # Publishing

    def c_publish(self, full: int, window: int) -> Figures:
        """The C client publishes what Postroom would, in windows of so many, each confirmed before the next."""
        self._broker.purge("singles")
        return self._c.run("singles", "publish", max(window, self.events(full)), window)

    def publish(self, way: str, full: int, option: int) -> Figures:
        """See ``benchmarks.apps.publishing``."""
        self._broker.purge("singles")
        return self.run("publishing", way, max(option, self.events(full)), option)

    # From publish to consume

    def c_latency(self, full: int, rate: int) -> Figures:
        """Milliseconds from the beginning of the publish to the receipt on another connection."""
        self._broker.purge("singles")
        return self._c.run("singles", "latency", self.events(full), rate)

    def latency(self, full: int, rate: int) -> Figures:
        """Milliseconds from the beginning of the publish in one process to the start of ``consume`` in another."""
        events = self.events(full)
        (self.here.folder / "waits").unlink(missing_ok=True)
        consumer = self.here.consumer("wake")
        until(lambda: bool(executors_of(consumer.pid)), 20)
        self.run("publishing", "steady", events, rate)
        if not until(lambda: len(self.here.effects("waits")) > events, 20):
            raise RuntimeError(f"wake did not finish:\n{self.here.log()[-3000:]}")
        self.here.stop([consumer], 20)
        # The first event only wakes all that sleeps.
        waits = sorted(1000 * float(line) for line in self.here.effects("waits")[1:])
        return {"p50": waits[events // 2], "p99": waits[events * 99 // 100]}


def _end(consumer: "subprocess.Popen[bytes]") -> None:
    consumer.terminate()
    consumer.wait(30)
