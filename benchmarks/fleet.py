"""Publishers and consumers of the queue ``steady``, to whom something is done while they work."""

import itertools
import time
from collections import Counter

from benchmarks.result import Result, progress
from benchmarks.scene import Scene, kill, until

PUBLISHERS = CONSUMERS = 2
RATE = 50  # events a second, of each publisher


class Fleet:
    """Two publishers and two consumers, at work."""

    def __init__(self, here: Scene) -> None:
        self._here = here
        self._publishers = [here.start("-m", "benchmarks.apps.publisher", str(RATE)) for _ in range(PUBLISHERS)]
        self._consumers = [here.consumer("steady") for _ in range(CONSUMERS)]
        if self.resumed(60) is None:
            raise RuntimeError(f"publishers and consumers did not begin:\n{here.log()[-4000:]}")

    def resumed(self, seconds: float) -> tuple[float, float] | None:
        """After how many seconds from now every publisher had five further lists confirmed, and every consumer
        five further events done; None if that does not come so soon."""
        start = time.monotonic()
        before = self._work()
        back: dict[int, float] = {}

        def all_back() -> bool:
            for pid, count in self._work().items():
                if count >= before[pid] + 5:
                    back.setdefault(pid, time.monotonic() - start)
            return len(back) == PUBLISHERS + CONSUMERS

        publishers = {process.pid for process in self._publishers}
        if not until(all_back, seconds):
            for pid in before.keys() - back.keys():
                progress(f"{'publisher' if pid in publishers else 'consumer'} {pid} does nothing")
            progress(self._here.log()[-8000:])
            return None
        publishing = max(after for pid, after in back.items() if pid in publishers)
        return round(publishing, 1), round(max(after for pid, after in back.items() if pid not in publishers), 1)

    def _work(self) -> "Counter[int]":
        """By process: what it has got confirmed, or done."""
        lines = self._here.effects("confirms") + self._here.effects("runs")
        return Counter(int(line.split()[1]) for line in lines)

    def longest_gap(self) -> float:
        """The longest time in which no publish was confirmed."""
        times = [float(line.split()[0]) for line in self._here.effects("confirms")]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    def end(self, outages: list[tuple[float, float]], result: Result) -> None:
        """Stops all, and writes down what came of their work. ``outages``: when the broker, or a part of it, went
        and when it was back, by ``time.time()``: events that were in hand then may have run twice."""
        here = self._here
        alive = sum(process.poll() is None for process in (*self._publishers, *self._consumers))
        for process in self._publishers:
            kill(process.pid)
        published = set(here.effects("published"))
        drained = until(lambda: published <= set(here.effects()), 60)
        statuses = here.stop(self._consumers, 30)
        runs: dict[str, list[float]] = {}
        for line in here.effects("runs"):
            at, _, event = line.split()
            runs.setdefault(event, []).append(float(at))
        in_hand = {
            event for event, at in runs.items() if any(gone - 0.5 < min(at) < back for gone, back in outages)
        }  # a finished event is acknowledged within 50 ms
        twice = {event for event, at in runs.items() if len(at) > 1}
        if not drained or any(statuses):
            progress(here.log()[-6000:])
        result.note(published=len(published), done=len(runs), refused=len(here.effects("refused")), twice=len(twice))
        result.note(in_hand_in_outages=len(in_hand))
        result.at_most("lost", len(published - set(here.effects())), 0)
        result.at_most("twice_without_reason", len(twice - in_hand), 0)
        result.at_most("buried", here.broker().figures("steady").dead, 0)
        result.at_least("alive", alive, PUBLISHERS + CONSUMERS)
        result.at_most("bad_exits", sum(status != 0 for status in statuses), 0)
