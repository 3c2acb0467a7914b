"""Faults put into a running system one after the other, as they come at night.

Held if for each a check fires within its bound, with a text that names the queue, the symptom and the next command,
and if all checks are well again when it is mended. Bounds that would take minutes are set shorter by flags.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from msgspec import Struct
from tests.consume.swallow import Swallower

from benchmarks.result import Result, progress
from benchmarks.scene import ROOT, Scene, kill, scene, until
from postroom.wire.message import Message, new_id

QUEUE = "night"
ALARM = "low on memory or disk"


class Fault(Struct):
    """``check``: what is to fire; ``symptom``: words of its text; ``within``: seconds."""

    name: str
    check: tuple[str, ...]
    symptom: str
    within: float
    put: AbstractContextManager[None]


class Night:
    """The system: a broker, one consumer, and the faults."""

    def __init__(self, here: Scene) -> None:
        assert here.node is not None
        self.here, self.node = here, here.node
        self.broker = here.broker()
        self.swallower = Swallower(here.node.port)
        self.consumer = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        url = self.here.url.replace(f":{self.node.port}", f":{self.swallower.port}")
        return self.here.consumer("night", POSTROOM_BROKER=url)

    def publish(self, *what: str) -> None:
        bodies = [json.dumps({"do": each}).encode() for each in what]
        self.broker.publish(QUEUE, [Message(new_id(), body, {}, time.time()) for body in bodies], 0, 10)

    def check(self, *words: str) -> tuple[int, str]:
        """The exit status and the first line."""
        done = subprocess.run(
            [sys.executable, "-m", "postroom", "check", *words, "--app", "benchmarks.apps.night"],
            cwd=ROOT,
            env=self.here.environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, (done.stdout.splitlines() or [done.stderr])[0]

    def well(self) -> bool:
        return all(self.check(what)[0] == 0 for what in ("consumers", "queues", "worker"))

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        self.consumer.terminate()
        self.consumer.wait(30)
        yield
        self.consumer = self._start()

    @contextlib.contextmanager
    def deaf(self) -> Iterator[None]:
        self.swallower.swallowing = True
        self.publish("ok", "ok")
        yield
        self.swallower.swallowing = False
        kill(self.consumer.pid)
        self.consumer = self._start()

    @contextlib.contextmanager
    def stuck(self) -> Iterator[None]:
        self.publish("hang", "ok", "ok", "ok")
        yield
        (self.here.folder / "gate").touch()

    @contextlib.contextmanager
    def poison(self) -> Iterator[None]:
        self.publish(*["bad"] * 50)
        yield
        until(lambda: self.broker.figures(QUEUE).dead == 50, 30)
        self.broker.purge_dead(QUEUE)

    @contextlib.contextmanager
    def slow_database(self) -> Iterator[None]:
        slow = self.here.folder / "slow"
        slow.touch()
        self.publish(*["ok"] * 30)
        yield
        slow.unlink()

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        self.node.kill()
        yield
        self.node.start()

    @contextlib.contextmanager
    def memory_alarm(self) -> Iterator[None]:
        self.node.control("set_vm_memory_high_watermark", "absolute", "1MB")
        yield
        self.node.control("set_vm_memory_high_watermark", "0.6")

    @contextlib.contextmanager
    def disk_alarm(self) -> Iterator[None]:
        self.node.control("set_disk_free_limit", "100000GB")
        yield
        self.node.control("set_disk_free_limit", "50MB")

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        self.broker.pause(QUEUE)
        yield
        self.broker.resume(QUEUE)

    @contextlib.contextmanager
    def other_password(self) -> Iterator[None]:
        self.node.control("change_password", "guest", "another")
        yield
        self.node.control("change_password", "guest", "guest")

    def faults(self, short: bool) -> list[Fault]:
        quick = [
            Fault("slow database", ("queues", "--burst", "1,3"), "to clear", 20, self.slow_database()),
            Fault("worker stopped", ("consumers",), "nobody consumes it", 10, self.stopped()),
            Fault("poison flood", ("queues",), "dead letters", 10, self.poison()),
            Fault("paused and forgotten", ("consumers",), "it is paused", 10, self.paused()),
        ]
        if short:
            return quick
        return [
            *quick,
            Fault("worker stuck", ("queues", "--stuck", "3"), "no progress for", 20, self.stuck()),
            Fault("wrong password", ("consumers",), "the login of user", 10, self.other_password()),
            Fault("broker down", ("consumers",), "cannot connect", 15, self.down()),
            Fault("broker alarm", ("worker",), ALARM, 15, self.memory_alarm()),
            Fault("disk nearly full", ("worker",), ALARM, 20, self.disk_alarm()),
            Fault("worker deaf", ("worker",), "answered within", 20, self.deaf()),
        ]


def run(short: bool = False) -> Result:
    """Ten faults; four in the short form."""
    result = Result("night")
    with scene("rabbitmq") as here:
        _soak(Night(here), short, result)
    return result


def _soak(night: Night, short: bool, result: Result) -> None:
    if not until(night.well, 60):
        progress(night.here.log()[-2000:])
    fired: dict[str, Any] = {}
    silent = unclear = unmended = 0
    for fault in night.faults(short):
        with fault.put:
            began, text, status = time.monotonic(), "", 0
            while fault.symptom not in text and time.monotonic() - began < fault.within:
                status, text = night.check(*fault.check)
            took = time.monotonic() - began
        heard = status != 0 and fault.symptom in text
        clear = f"{QUEUE}: " in text and "; next: " in text
        mended = until(night.well, 60)
        silent, unclear, unmended = silent + (not heard), unclear + (not clear), unmended + (not mended)
        fired[fault.name] = {"after": round(took, 1), "status": status, "text": text.partition(" | ")[0]}
        progress(f"night: {fault.name}: {took:.1f} s: {text}{'' if mended else ' (and not well afterwards)'}")
    if unmended:
        progress(night.here.log()[-4000:])
    night.swallower.close()
    night.broker.close()
    result.note(fired=fired)
    result.at_least("faults", len(fired), 4 if short else 10)
    result.at_most("silent", silent, 0)
    result.at_most("unclear", unclear, 0)
    result.at_most("not_well_afterwards", unmended, 0)
