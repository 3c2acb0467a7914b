"""What it costs to import Postroom and to start a command, and how much memory idle processes take."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.processes import cpu
from benchmarks.result import Result, progress
from benchmarks.scene import executors_of, scene, until

ROUNDS = 15
IMPORT_MSGSPEC = ["-c", "import msgspec"]
IMPORT_POSTROOM = ["-c", "import postroom"]
IMPORT_ARGPARSE = ["-c", "import argparse, msgspec"]
HELP = ["-m", "postroom", "--help"]


def run(short: bool = False) -> Result:
    """15 interleaved rounds; 5 in the short form."""
    result = Result("start")
    seconds: dict[str, list[float]] = {}
    cases = {"msgspec": IMPORT_MSGSPEC, "postroom": IMPORT_POSTROOM, "argparse": IMPORT_ARGPARSE, "help": HELP}
    for _ in range(5 if short else ROUNDS):
        for name, arguments in cases.items():
            seconds.setdefault(name, []).append(_seconds(arguments))
    took = {name: statistics.median(found) for name, found in seconds.items()}
    result.note(milliseconds={name: round(1000 * found, 1) for name, found in took.items()})
    result.at_most("import_postroom_to_msgspec", took["postroom"] / took["msgspec"], 1.5)
    result.at_most("help_to_argparse_and_msgspec", took["help"] / took["argparse"], 2.0)
    consumer, executor, idle = _idle()
    result.at_most("idle_consumer_pss_mb", consumer, 30)
    result.at_most("idle_executor_pss_mb", executor, 30)
    result.at_most("idle_consumer_percent_of_a_core", idle, 0.3)
    return result


def _seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _idle() -> tuple[float, float, float]:
    """The proportional set sizes of an idle consumer and its executor, in MB, and the share of a core in percent
    that both use together in 10 s."""
    with scene("sqlite") as here:
        process = here.consumer("empty")
        if not until(lambda: "consuming" in here.log() and bool(executors_of(process.pid)), 20):
            raise RuntimeError(here.log())
        executor = executors_of(process.pid)[0]
        time.sleep(2)  # start-up is over when its processor time stands still; two seconds are ample
        before, since = cpu(process.pid) + cpu(executor), time.monotonic()
        progress("watching an idle consumer for 10 s")
        time.sleep(10)
        percent = 100 * (cpu(process.pid) + cpu(executor) - before) / (time.monotonic() - since)
        return _pss(process.pid), _pss(executor), percent


def _pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no Pss of {pid}")
