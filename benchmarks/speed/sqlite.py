"""The SQLite broker, as ratios to bare ``sqlite3`` statements of the same durability, and to Huey.

300-byte events, ``synchronous=FULL``; medians of interleaved rounds.
"""

import json
import sqlite3
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import huey
import msgspec

from benchmarks.apps import drain
from benchmarks.apps.count import visit
from benchmarks.result import Result, progress
from benchmarks.scene import Scene, scene, until
from postroom import configure, queue_json_publish, queue_json_publish_many

ROUNDS = 3
ONE_BY_ONE = 1500
MANY = 20_000
DRAIN = 40_000
DRAIN_HUEY = 10_000


def run(short: bool = False) -> Result:
    """Three rounds; one of a fifth of the size in the short form."""
    result = Result("sqlite")
    size = 5 if short else 1
    rates: dict[str, list[float]] = {}
    for number in range(1 if short else ROUNDS):
        for name, measure in MEASURES.items():
            with scene("sqlite") as here:
                rates.setdefault(name, []).append(measure(here, size))
            progress(f"round {number + 1}: {name} {rates[name][-1]:,.0f}/s")
    rate = {name: statistics.median(found) for name, found in rates.items()}
    result.note(events_a_second={name: round(found) for name, found in rate.items()})
    result.at_least("publish_one_by_one", rate["publish one"] / rate["bare insert one"], 0.7)
    result.at_least("publish_many_by_100", rate["publish 100"] / rate["bare insert 100"], 0.5)
    result.at_least("batch_worker", rate["batch worker"] / rate["bare claim and ack 100"], 0.4)
    result.at_least("single_worker", rate["single worker"] / rate["bare claim and ack 100"], 0.25)
    result.at_least("single_worker_to_huey", rate["single worker"] / rate["huey"], 4)
    return result


def _body(number: int) -> bytes:
    return msgspec.json.encode(visit(number))


def _bare(here: Scene) -> sqlite3.Connection:
    file = sqlite3.connect(here.folder / "bare.db", isolation_level=None)
    file.execute("PRAGMA journal_mode=WAL")
    file.execute("PRAGMA synchronous=FULL")
    file.execute("CREATE TABLE event (seq INTEGER PRIMARY KEY, queue INTEGER, body BLOB, taken INTEGER)")
    file.execute("CREATE INDEX ready ON event (queue, seq) WHERE taken IS NULL")
    return file


def _bare_insert(here: Scene, events: int, by: int) -> float:
    file = _bare(here)
    bodies = [_body(number) for number in range(events)]
    start = time.monotonic()
    for first in range(0, events, by):
        file.execute("BEGIN IMMEDIATE")
        file.executemany("INSERT INTO event (queue, body) VALUES (1, ?)", [(b,) for b in bodies[first : first + by]])
        file.execute("COMMIT")
    return events / (time.monotonic() - start)


def _bare_claim(here: Scene, events: int) -> float:
    file = _bare(here)
    file.execute("BEGIN")
    file.executemany("INSERT INTO event (queue, body) VALUES (1, ?)", [(_body(n),) for n in range(events)])
    file.execute("COMMIT")
    claim = (
        "UPDATE event SET taken = 1 WHERE seq IN"
        " (SELECT seq FROM event WHERE queue = 1 AND taken IS NULL ORDER BY seq LIMIT 100) RETURNING seq, body"
    )
    start = time.monotonic()
    claimed: list[tuple[int, bytes]] = []
    while True:
        file.execute("BEGIN IMMEDIATE")
        file.executemany("DELETE FROM event WHERE seq = ?", [(seq,) for seq, _ in claimed])
        claimed = file.execute(claim).fetchall()
        file.execute("COMMIT")
        if not claimed:
            return events / (time.monotonic() - start)


def _publish_one(here: Scene, size: int) -> float:
    configure(broker=here.url)
    queue_json_publish(drain.singles, visit(0))
    events = ONE_BY_ONE // size
    visits = [visit(number) for number in range(events)]
    start = time.monotonic()
    for event in visits:
        queue_json_publish(drain.singles, event)
    return events / (time.monotonic() - start)


def _publish_many(here: Scene, size: int) -> float:
    configure(broker=here.url)
    queue_json_publish(drain.singles, visit(0))
    events = MANY // size
    visits = [visit(number) for number in range(events)]
    start = time.monotonic()
    for first in range(0, events, 100):
        queue_json_publish_many(drain.singles, visits[first : first + 100])
    return events / (time.monotonic() - start)


def _worker(here: Scene, size: int, queue: str) -> float:
    configure(broker=here.url)
    events = DRAIN // size
    queue_json_publish_many(queue, [visit(number) for number in range(events)])
    consumer = here.start(
        *("-m", "postroom", "process_queue", "--app", "benchmarks.apps.drain", "--queue", queue),
        DRAIN_EVENTS=str(events),
    )
    return _rate(here, queue, consumer.terminate)


def _rate(here: Scene, name: str, stop: Callable[[], None]) -> float:
    if not until(lambda: bool(here.effects(f"drained-{name}")), 120):
        raise RuntimeError(f"{name} did not finish:\n{here.log()[-3000:]}")
    stop()
    return float(json.loads(here.effects(f"drained-{name}")[0])["rate"])


def _huey(here: Scene, size: int) -> float:
    events = DRAIN_HUEY // size
    script = (
        "from benchmarks.apps.huey_drain import visit\n"
        "from benchmarks.apps import count\nfrom dataclasses import asdict\n"
        f"for n in range({events}): visit(**asdict(count.visit(n)))\n"
    )
    if here.start("-c", script).wait(120) != 0:
        raise RuntimeError(f"huey did not enqueue:\n{here.log()[-3000:]}")
    command = Path(str(huey.__file__)).parent / "bin" / "huey_consumer.py"
    consumer = here.start(str(command), "benchmarks.apps.huey_drain.huey", "-w", "1", "-q", DRAIN_EVENTS=str(events))
    return _rate(here, "huey", consumer.kill)


MEASURES: dict[str, Callable[[Scene, int], float]] = {
    "bare insert one": lambda here, size: _bare_insert(here, ONE_BY_ONE // size, 1),
    "publish one": _publish_one,
    "bare insert 100": lambda here, size: _bare_insert(here, MANY // size, 100),
    "publish 100": _publish_many,
    "bare claim and ack 100": lambda here, size: _bare_claim(here, DRAIN // size),
    "batch worker": lambda here, size: _worker(here, size, "batches"),
    "single worker": lambda here, size: _worker(here, size, "singles"),
    "huey": _huey,
}
