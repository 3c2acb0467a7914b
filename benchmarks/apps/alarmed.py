"""A queue of which some events fail at first; and, as a program, a publisher that notes how long an error took it.

``python -m benchmarks.apps.alarmed RATE``: events a second; until it is killed.
"""

import sys
import time

from benchmarks.apps.record import record
from postroom import Queue, assign_queue, current_event, queue_json_publish
from postroom.errors import PublishError

FAILS = 25  # one in so many

alarmed: Queue[dict[str, int]] = Queue("alarmed", dict[str, int], backoff=1.0)


@assign_queue(alarmed, timeout=30)
def work(event: dict[str, int]) -> None:
    time.sleep(0.004)
    if event["n"] % FAILS == 0 and current_event().attempt == 1:
        record(current_event().id, "failed")
        raise ValueError("at first it fails")
    record(current_event().id)


def main(rate: float) -> None:
    number = 0
    while True:
        number += 1
        started = time.monotonic()
        try:
            event_id = queue_json_publish(alarmed, {"n": number})
        except PublishError as error:
            record(f"{time.monotonic() - started:.3f} {type(error).__name__}", "refused")
        else:
            record(event_id, "published")
        time.sleep(1 / rate)


if __name__ == "__main__":
    main(float(sys.argv[1]))
