"""RabbitMQ, as ratios to a C client (librabbitmq) on the same queues with the same messages, and to other Python
systems, each at its best settings with the same durability: one by one with one by one, windows with windows.

300-byte events on quorum queues of a private node; medians of interleaved rounds. Backlogs are published first, and
a drain is timed from the first event to the last, as the worker sees them: start-up does not count.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from statistics import median

from benchmarks.apps.drain import hundreds, singles, works
from benchmarks.peers import WORKERS
from benchmarks.result import Result, progress
from benchmarks.scene import scene
from benchmarks.speed.rabbitmq_bench import Bench, Figures

ROUNDS = 3
MOST_SECONDS = 330
DRAIN, PREFETCH = 40_000, 500
DRAIN_PEERS = 6_000
WORK = 10_000
ONE_BY_ONE, SIXTEEN_THREADS = 1_500, 8_000
MANY, WINDOW = 30_000, 1_000
BUSY = 150
STEADY, A_SECOND = 400, 100

Medians = dict[str, Figures]
Measures = dict[str, Callable[[Bench], Figures]]


def run(short: bool = False, row: str | None = None) -> Result:
    """Three rounds of all rows, or of one; fewer where the machine is so busy that they would take longer than
    ``MOST_SECONDS``. In the short form one round of a tenth of the size, without the peers.

    Raises RuntimeError where the C client cannot be compiled."""
    result = Result("rabbitmq")
    rows = ROWS if row is None else {row: ROWS[row]}
    if short and row is None:
        rows = {name: parts for name, parts in ROWS.items() if name != "peers"}
    found: dict[str, list[Figures]] = {}
    with scene("rabbitmq") as here:
        bench = Bench(here, 10 if short else 1)
        missing = bench.missing_peers() if "peers" in rows else []
        # By name: what two rows need is measured once.
        measures = {name: measure for parts, _ in rows.values() for name, measure in parts.items()}
        began = time.monotonic()
        for number in range(1 if short else ROUNDS):
            if (time.monotonic() - began) * (number + 1) > MOST_SECONDS * number > 0:
                break  # a busy machine: no round that would not end in time
            result.note(rounds=number + 1)
            for name, measure in measures.items():
                if name in missing:
                    continue
                figures = measure(bench)
                found.setdefault(name, []).append(figures)
                progress(f"round {number + 1}: {name} {_rounded(figures)}")
        bench.close()
    medians = {name: _medians(each) for name, each in found.items()}
    result.note(medians=medians)
    if "peers" in rows:
        result.note(missing_peers=missing)
    else:
        result.note(peers="not measured")
    for _, judge in rows.values():
        judge(result, medians)
    return result


def _medians(found: list[Figures]) -> Figures:
    return _rounded({figure: median(each[figure] for each in found) for figure in found[0]})


def _rounded(figures: Figures) -> Figures:
    return {figure: float(f"{value:.5g}") for figure, value in figures.items()}


DRAINS: Measures = {
    "C consume": lambda bench: bench.c_consume(DRAIN, PREFETCH),
    "batch worker": lambda bench: bench.drain(hundreds, DRAIN),
    "single worker": lambda bench: bench.drain(singles, DRAIN),
}


def _judge_drains(result: Result, found: Medians) -> None:
    c = found["C consume"]["rate"]
    result.at_least("batch_worker_to_c", found["batch worker"]["rate"] / c, 0.6)
    result.at_least("single_worker_to_c", found["single worker"]["rate"] / c, 0.5)
    result.at_most("cpu_seconds_per_10000", found["single worker"]["cpu"], 0.35)


PEERS: Measures = {
    "batch worker": DRAINS["batch worker"],
    "single worker": DRAINS["single worker"],
    **{name: partial(Bench.drain_peer, name=name, full=DRAIN_PEERS) for name in WORKERS},
}


def _judge_peers(result: Result, found: Medians) -> None:
    best = max((found[name]["rate"] for name in WORKERS if name in found), default=math.inf)
    result.at_most("peers_missing", sum(name not in found for name in WORKERS), 0)
    result.at_least("batch_worker_to_best_peer", found["batch worker"]["rate"] / best, 8)
    result.at_least("single_worker_to_best_peer", found["single worker"]["rate"] / best, 5)


WORKING: Measures = {
    "work without a broker": lambda bench: bench.run("spin", "loop", bench.events(WORK)),
    "work": lambda bench: bench.drain(works, WORK),
}


def _judge_working(result: Result, found: Medians) -> None:
    result.at_least("work_to_no_broker", found["work"]["rate"] / found["work without a broker"]["rate"], 0.85)


PUBLISHES: Measures = {
    "C publish one": lambda bench: bench.c_publish(ONE_BY_ONE, 1),
    "publish one": lambda bench: bench.publish("one", ONE_BY_ONE, 1),
    "publish one by 16 threads": lambda bench: bench.publish("one", SIXTEEN_THREADS, 16),
    "publish one beside a busy thread": lambda bench: bench.publish("busy", BUSY, 1),
    "C publish many": lambda bench: bench.c_publish(MANY, WINDOW),
    "publish many": lambda bench: bench.publish("many", MANY, WINDOW),
}


def _judge_publishes(result: Result, found: Medians) -> None:
    one = found["publish one"]["rate"]
    result.at_least("publish_many_to_c", found["publish many"]["rate"] / found["C publish many"]["rate"], 0.85)
    result.at_least("publish_one_to_c", one / found["C publish one"]["rate"], 0.65)
    result.at_least("publish_16_threads_to_one", found["publish one by 16 threads"]["rate"] / one, 4)
    result.at_most("publish_beside_busy_thread_p50_ms", found["publish one beside a busy thread"]["p50"], 15)


LATENCIES: Measures = {
    "C latency": lambda bench: bench.c_latency(STEADY, A_SECOND),
    "latency": lambda bench: bench.latency(STEADY, A_SECOND),
}


def _judge_latencies(result: Result, found: Medians) -> None:
    result.at_most("latency_median_to_c", found["latency"]["p50"] / found["C latency"]["p50"], 2)
    result.at_most("latency_p99_ms", found["latency"]["p99"], 8)


ROWS: dict[str, tuple[Measures, Callable[[Result, Medians], None]]] = {
    "drains": (DRAINS, _judge_drains),
    "peers": (PEERS, _judge_peers),
    "work": (WORKING, _judge_working),
    "publish": (PUBLISHES, _judge_publishes),
    "latency": (LATENCIES, _judge_latencies),
}
