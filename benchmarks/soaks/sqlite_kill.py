"""Publishers, consumers and executors on one SQLite file, one of them killed every 200 ms and started again.

Held if every event whose publish returned was consumed, the file is sound, and no event ran twice but those that
were in a killed consumer's hand or being consumed in a killed executor.
"""

import random
import sqlite3
import subprocess
import time
from collections import Counter

from benchmarks.result import Result, progress
from benchmarks.scene import Scene, executors_of, kill, scene, until

EACH = 4
PERIOD = 0.2
RATE = 40.0


def run(short: bool = False) -> Result:
    """60 s of kills; 6 s in the short form."""
    result = Result("sqlite-kill")
    with scene("sqlite") as here:
        _soak(here, 6.0 if short else 60.0, result)
    return result


def _soak(here: Scene, seconds: float, result: Result) -> None:
    chance = random.Random(7)
    publishers = [_publisher(here) for _ in range(EACH)]
    consumers = [here.consumer("steady") for _ in range(EACH)]
    kills: Counter[str] = Counter()
    in_hand = 0
    until(lambda: len(here.effects()) > 20, 20)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(PERIOD)
        what = chance.choice(("publisher", "consumer", "executor"))
        which = chance.randrange(EACH)
        if what == "publisher":
            publishers[which] = _replaced(here, publishers[which], publisher=True)
        elif what == "consumer":
            held = _held(here)
            consumers[which] = _replaced(here, consumers[which], publisher=False)
            in_hand += held
        else:
            executors = executors_of(consumers[which].pid)
            if not executors:
                continue
            kill(chance.choice(executors))
            in_hand += 1
        kills[what] += 1
        if sum(kills.values()) % 50 == 0:
            progress(f"{sum(kills.values())} kills, {len(here.effects())} events done")
    for process in publishers:
        kill(process.pid)
    published = set(here.effects("published"))
    drained = until(lambda: published <= set(here.effects()), 60)
    done = Counter(here.effects())
    stopped = here.stop(consumers, 20)
    dead = here.broker().figures("steady").dead
    with sqlite3.connect(here.database) as file:
        sound = file.execute("PRAGMA integrity_check").fetchone()[0]
    if not drained or any(stopped):
        progress(f"exit statuses: {stopped}")
        progress(here.log()[-4000:])
    result.note(published=len(published), done=len(done), kills=dict(kills), refused=len(here.effects("refused")))
    result.at_least("kills_in_all", sum(kills.values()), seconds / PERIOD * 0.6)
    result.at_most("lost", len(published - set(done)), 0)
    result.at_most("buried", dead, 0)
    result.at_most("twice", sum(done.values()) - len(done), in_hand)
    result.at_most("file_unsound", float(sound != "ok"), 0)
    result.at_most("bad_exits", float(sum(status != 0 for status in stopped)), 0)


def _publisher(here: Scene) -> "subprocess.Popen[bytes]":
    return here.start("-m", "benchmarks.apps.publisher", str(RATE))


def _replaced(here: Scene, process: "subprocess.Popen[bytes]", publisher: bool) -> "subprocess.Popen[bytes]":
    kill(process.pid)
    process.wait()
    return _publisher(here) if publisher else here.consumer("steady")


def _held(here: Scene) -> int:
    """How many events all consumers hold: no killed one can have had more."""
    return here.broker().figures("steady").in_hand or 0
