"""Very many dead letters: listed, filtered by error, requeued by error and dropped, by the commands.

Held if the counts are right, no command's memory grows with the number of letters, and a terminal sees it go on.
"""

import os
import pty
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

from benchmarks.result import Result, progress
from benchmarks.scene import ROOT, Scene, scene, until
from postroom.brokers.base import Broker
from postroom.wire.message import Message, new_ids

ERROR = "the mailbox is full"  # of every fourth
MOST_MB = 60  # a command that knows no event takes about 35


def run(broker: str, short: bool = False) -> Result:
    """100,000 letters; 6,000 in the short form."""
    result = Result(f"many-dead on {broker}")
    with scene(broker) as here:
        _soak(here, 6_000 if short else 100_000, result)
    return result


def _soak(here: Scene, letters: int, result: Result) -> None:
    broker = here.broker()
    _publish(broker, letters)
    started = time.monotonic()
    consumer = here.consumer("failing")
    died = until(lambda: broker.figures("failing").dead >= letters, 600)
    result.note(buried_per_second=round(letters / (time.monotonic() - started)))
    here.stop([consumer], 30)
    result.at_least("all_died", died, True)
    sizes, progressed = [], 0
    for name, words, expected in (
        ("list", ["list", "failing", "-n", "3"], f"the latest 3 of {letters:,}"),
        ("filter", ["list", "failing", "-n", "3", "--error", ERROR], f"the latest 3 of {letters // 4:,}"),
        ("requeue", ["requeue", "failing", "--error", ERROR], f"{letters // 4:,} dead letters of failing requeued"),
        ("drop", ["drop", "failing", "--all", "--yes"], f"{letters - letters // 4:,} dead letters"),
    ):
        command = Command(here, words)
        progress(f"{name}: {command.seconds:.1f} s, {command.mb} MB, {command.progressed} progress lines")
        result.note(**{f"{name}_s": round(command.seconds, 1)})
        result.at_least(f"{name}_says_so", expected in command.printed, True)
        sizes.append(command.mb)
        progressed += command.progressed
    figures = broker.figures("failing")
    result.at_most("largest_mb", max(sizes), MOST_MB)
    if letters >= 100_000:  # fewer are done before there is anything to show
        result.at_least("progress_shown", progressed, 4)
    result.at_most("requeued_amiss", abs(figures.ready - letters // 4), 0)
    result.at_most("left", figures.dead, 0)


def _publish(broker: Broker, count: int) -> None:
    for start in range(0, count, 1000):
        bodies = [b'{"n": %d}' % n for n in range(start, min(start + 1000, count))]
        now = time.time()
        broker.publish(
            "failing", [Message(i, b, {}, now) for i, b in zip(new_ids(len(bodies)), bodies, strict=True)], 0, 30
        )


class Command:
    """``postroom dead WORDS`` run to its end: what it printed, how often it showed its progress on the terminal that
    its stderr is, how long it took, and its largest size."""

    def __init__(self, here: Scene, words: list[str]) -> None:
        ours, theirs = pty.openpty()
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "postroom", "dead", *words, "--app", "benchmarks.apps.failing"],
            cwd=ROOT,
            env={**os.environ, "POSTROOM_BROKER": here.url, "PYTHONPATH": f"{ROOT}/src:{ROOT}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)
        shown: list[bytes] = []
        reader = threading.Thread(target=_read, args=(ours, shown))
        reader.start()
        out = process.stdout
        assert out is not None
        lines: list[bytes] = []
        printing = threading.Thread(target=lambda: lines.append(out.read()))
        printing.start()
        self.mb = 0
        while process.poll() is None:
            self.mb = max(self.mb, _largest_mb(process.pid))
            time.sleep(0.005)
        self.seconds = time.monotonic() - started
        printing.join()
        self.printed = lines[0].decode()
        reader.join()
        os.close(ours)
        self.progressed = b"".join(shown).count("…".encode())


def _largest_mb(pid: int) -> int:
    """The process's largest size so far. (What wait4 tells counts the process that forked it too.)"""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) // 1024 if found else 0


def _read(terminal: int, shown: list[bytes]) -> None:
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # on Linux: the other end is closed
            return
        if not data:
            return
        shown.append(data)
