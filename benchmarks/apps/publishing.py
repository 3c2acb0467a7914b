"""A process that publishes, waiting for the confirms, and prints one JSON object about it.

``python -m benchmarks.apps.publishing one EVENTS THREADS``: so many threads, each one by one
``… many EVENTS WINDOW``: in lists of WINDOW
``… busy EVENTS 1``: one by one beside a thread of Python that never rests
``… steady EVENTS RATE``: RATE a second to the queue ``wake``, each with the moment at which its publish began
"""

import json
import statistics
import sys
import threading
import time
from collections.abc import Callable

from benchmarks.apps.count import visit
from benchmarks.apps.drain import singles
from benchmarks.apps.wake import wake
from postroom import queue_json_publish, queue_json_publish_many

PADDING = "x" * 265  # with the rest 300 bytes


def one(events: int, threads: int) -> dict[str, float]:
    visits = [visit(number) for number in range(events)]

    def publish(first: int) -> None:
        for event in visits[first::threads]:
            queue_json_publish(singles, event)

    workers = [threading.Thread(target=publish, args=(first,)) for first in range(threads)]
    start = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return {"rate": events / (time.monotonic() - start)}


def many(events: int, window: int) -> dict[str, float]:
    visits = [visit(number) for number in range(events)]
    start = time.monotonic()
    for first in range(0, events, window):
        queue_json_publish_many(singles, visits[first : first + window])
    return {"rate": events / (time.monotonic() - start)}


def busy(events: int, threads: int) -> dict[str, float]:
    over = threading.Event()

    def spin() -> None:
        number = 0
        while not over.is_set():
            number += 1

    spinners = [threading.Thread(target=spin) for _ in range(threads)]
    for spinner in spinners:
        spinner.start()
    took = []
    for number in range(events):
        start = time.monotonic()
        queue_json_publish(singles, visit(number))
        took.append(time.monotonic() - start)
    over.set()
    return {"p50": 1000 * statistics.median(took)}


def steady(events: int, rate: int) -> dict[str, float]:
    took = []
    due = time.monotonic()
    for _ in range(events):
        time.sleep(max(0.0, due - time.monotonic()))
        due += 1 / rate
        start = time.monotonic()
        queue_json_publish(wake, {"sent": start, "note": PADDING})
        took.append(time.monotonic() - start)
    return {"p50": 1000 * statistics.median(took)}


WAYS: dict[str, Callable[[int, int], dict[str, float]]] = {"one": one, "many": many, "busy": busy, "steady": steady}

if __name__ == "__main__":
    way, first, second = sys.argv[1:]
    # The connection is there, and what is published to exists, before the time is taken.
    queue_json_publish(wake, {"sent": time.monotonic(), "note": PADDING})
    queue_json_publish(singles, visit(0))
    print(json.dumps(WAYS[way](int(first), int(second))))
