"""200 keys, and 4 consumers that are killed at random and started again, retries among them; and, before that, what 4
consumers get done where each event waits 5 ms for something, against 1.

Held if of each key no event had its first effect before an earlier one's, nothing was lost or buried, and 4 consumers
were at least 3 times as fast as 1.
"""

import random
import subprocess
import time

from benchmarks.apps.ordered import Step, ordered
from benchmarks.result import Result, progress
from benchmarks.scene import Scene, executors_of, kill, scene, until
from postroom import configure, queue_json_publish_many

KEYS = 200
CONSUMERS = 4


def run(broker: str = "sqlite", short: bool = False) -> Result:
    """15 kills; 2 in the short form."""
    result = Result(f"order-{broker}")
    with scene(broker) as here:
        configure(broker=here.url)
        one = _rate(here, 1, short, result)
        four = _rate(here, CONSUMERS, short, result)
        result.note(one_per_second=round(one, 1), four_per_second=round(four, 1))
        # Two seconds beside other tests measure only roughly.
        result.at_least("times_as_fast", four / max(one, 0.001), 2.0 if short else 3.0)
        _kill(here, short, result)
    return result


def _publish(first: int, each: int, flaky: bool) -> None:
    """``each`` further events of every key, one key after the other again and again."""
    queue_json_publish_many(
        ordered,
        [
            Step(f"key{key}", number, flaky and random.random() < 0.05)
            for number in range(first, first + each)
            for key in range(KEYS)
        ],
    )


def _rate(here: Scene, consumers: int, short: bool, result: Result) -> float:
    """Effects a second, once all consumers have their share."""
    seconds = 2.0 if short else 8.0
    each = int(220 * consumers * (seconds + 2) / KEYS) + 1
    _publish(0, each, flaky=False)
    processes = [here.consumer("ordered") for _ in range(consumers)]

    def at_work() -> bool:
        return len({line.rpartition(" ")[2] for line in here.effects()[-10 * consumers :]}) == consumers

    settled = until(at_work, 20)
    start, before = time.monotonic(), len(here.effects())
    time.sleep(seconds)
    rate = (len(here.effects()) - before) / (time.monotonic() - start)
    if not settled or len(here.effects()) == KEYS * each:
        progress(f"{consumers} consumers were not at work all the time")
        result.at_most("unsettled", 1, 0)
    progress(f"{consumers} consumers: {rate:.0f} a second")
    here.stop(processes, 30)
    here.broker().purge("ordered")
    (here.folder / "effects").unlink()
    return rate


def _kill(here: Scene, short: bool, result: Result) -> None:
    kills, each = (2, 10) if short else (15, 100)
    _publish(0, each, flaky=True)
    consumers = [here.consumer("ordered") for _ in range(CONSUMERS)]
    for number in range(kills):
        done = len(here.effects())
        until(lambda: len(here.effects()) > done + 50, 20)  # noqa: B023
        time.sleep(random.uniform(0.0, 1.0))
        _replace_one(here, consumers)
        progress(f"kill {number + 1} of {kills}, {len(here.effects())} of {KEYS * each} effects")
    wanted = {(f"key{key}", number) for key in range(KEYS) for number in range(each)}
    drained = until(lambda: len(here.effects()) >= len(wanted) and wanted <= _done(here), 30 if short else 150)
    if not drained:
        progress(here.log()[-4000:])
    statuses = here.stop(consumers, 30)
    effects = [line.split()[:2] for line in here.effects()]
    result.note(events=len(wanted), kills=kills, repeated=len(effects) - len(_done(here)))
    result.at_most("lost", len(wanted - _done(here)), 0)
    result.at_most("out_of_order", _out_of_order(effects), 0)
    result.at_most("buried", here.broker().figures("ordered").dead, 0)
    result.at_most("bad_exits", sum(status != 0 for status in statuses), 0)


def _replace_one(here: Scene, consumers: "list[subprocess.Popen[bytes]]") -> None:
    place = random.randrange(len(consumers))
    victim = consumers[place]
    executors = executors_of(victim.pid)
    kill(victim.pid)
    for pid in executors:
        kill(pid)
    victim.wait()
    consumers[place] = here.consumer("ordered")


def _done(here: Scene) -> set[tuple[str, int]]:
    return {(key, int(number)) for key, number, _ in (line.split() for line in here.effects())}


def _out_of_order(effects: list[list[str]]) -> int:
    """How many events had their first effect before that of an earlier one of their key."""
    due: dict[str, int] = {}
    wrong = 0
    for key, text in effects:
        number, expected = int(text), due.get(key, 0)
        wrong += number > expected
        due[key] = max(expected, number + 1)
    return wrong
