"""What the workers of these applications do: whatever the event tells them."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from postroom import Bury, Drop, Retry, TimeLimitReached, current_event

Act = dict[str, Any]


def folder() -> Path:
    """The stage's folder."""
    return Path(os.environ["STAGE_FOLDER"])


def note(what: str, **more: Any) -> None:
    """Appends a line to the stage's effects: one write, so that no kill tears it and no two processes mix."""
    line = json.dumps({"what": what, "pid": os.getpid(), "at": time.monotonic(), **more}) + "\n"
    fd = os.open(folder() / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, line.encode())
    os.close(fd)


def act(event: Act) -> None:
    """Begins, does as it is told, ends."""
    note("begin", n=event.get("n"), attempt=current_event().attempt, thread=threading.current_thread().name)
    ACTS[event.get("do", "ok")](event)
    note("end", n=event.get("n"))


def gate(event: Act) -> None:
    """Waits until the file that is named ``gate`` exists."""
    while not (folder() / event.get("gate", "gate")).exists():
        time.sleep(0.005)


def spin(event: Act) -> None:
    while True:
        pass


def swallow(event: Act) -> None:
    while True:
        try:
            time.sleep(60)
        except TimeLimitReached:
            note("swallowed", n=event.get("n"))


def fails(event: Act) -> None:
    raise ValueError(event.get("text", "it does not work"))


def fails_at_first(event: Act) -> None:
    if current_event().attempt == 1:
        raise ValueError("not at first")


def snooze(event: Act) -> None:
    mark = folder() / f"snoozed-{current_event().id}"
    if not mark.exists():
        mark.touch()
        raise Retry("not yet", after=0.05)


def snooze_for_long(event: Act) -> None:
    raise Retry("not yet", after=300)


def bury(event: Act) -> None:
    raise Bury("nobody can mend this")


def drop(event: Act) -> None:
    raise Drop("not wanted any more")


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Unspeakable(Bury):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def silent(event: Act) -> None:
    raise Silent


def unspeakable(event: Act) -> None:
    raise Unspeakable("x")


def recurse(event: Act) -> None:
    recurse(event)


def many_causes(event: Act) -> None:
    error: BaseException = ValueError("the first")
    for number in range(3000):
        later = ValueError(f"number {number}")
        later.__cause__ = error
        error = later
    raise error


def fork(event: Act) -> None:
    child = os.fork()
    if child == 0:
        os._exit(3)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 3
    thread = threading.Thread(target=time.sleep, args=(0.01,))
    thread.start()
    thread.join()


def noise(event: Act) -> None:
    print("noise" * 5000)
    print("noise" * 5000, file=sys.stderr)
    os.write(1, b"\xff\xfe\x00raw")


def grandchild(event: Act) -> None:
    """Starts a process that outlives it, then never returns."""
    child = subprocess.Popen(["sleep", "60"])
    note("grandchild", child=child.pid)
    swallow(event)


def kill_all(event: Act) -> None:
    os.killpg(os.getpgid(os.getppid()), signal.SIGKILL)
    time.sleep(60)


def events_of_the_past(event: Act) -> None:
    its = current_event()
    note(
        "event",
        id=its.id,
        queue=its.queue,
        attempt=its.attempt,
        headers=its.headers,
        age=its.age,
        first_failed=its.first_failed,
    )
    if its.attempt == 1:
        raise ValueError("once")


ACTS: dict[str, Callable[[Act], object]] = {
    "ok": lambda event: None,
    "wait": lambda event: time.sleep(event["seconds"]),
    "gate": gate,
    "sleep": lambda event: time.sleep(60),
    "spin": spin,
    "swallow": swallow,
    "in C": lambda event: sum(range(1 << 50)),  # with the GIL held, and no look at signals
    "fail": fails,
    "fail at first": fails_at_first,
    "snooze": snooze,
    "snooze for long": snooze_for_long,
    "bury": bury,
    "drop": drop,
    "silent": silent,
    "unspeakable": unspeakable,
    "surrogate": lambda event: fails({"text": "caf\udce9"}),
    "huge": lambda event: fails({"text": "x" * 5_000_000}),
    "many causes": many_causes,
    "recurse": recurse,
    "memory": lambda event: [0] * (1 << 60),
    "sys.exit": lambda event: sys.exit(4),
    "os._exit": lambda event: os._exit(4),
    "segfault": lambda event: ctypes.string_at(0),
    "kill": lambda event: os.kill(os.getpid(), signal.SIGKILL),
    "kill all": kill_all,
    "fork": fork,
    "noise": noise,
    "grandchild": grandchild,
    "event": events_of_the_past,
}
