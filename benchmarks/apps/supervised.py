"""As many queues as QUEUES says, with a worker each.

``python -m benchmarks.apps.supervised RATE`` publishes to them in turn: events a second; until it is killed.
"""

import os
import sys
import time

from benchmarks.apps.record import record
from postroom import Queue, assign_queue, current_event, queue_json_publish
from postroom.errors import PublishError

NAMES = [f"supervised-{number}" for number in range(int(os.environ["QUEUES"]))]
WORK = 0.02  # seconds; the soak knows it too


def work(event: dict[str, int]) -> None:
    time.sleep(WORK)
    record(current_event().id)


QUEUES = [Queue(name, dict[str, int], backoff=0.5) for name in NAMES]
for queue in QUEUES:
    assign_queue(queue)(work)


def main(rate: float) -> None:
    number = 0
    while True:
        try:
            event_id = queue_json_publish(QUEUES[number % len(QUEUES)], {"n": number})
        except PublishError as error:
            record(f"{type(error).__name__}: {error}", "refused")
        else:
            record(event_id, "published")
        number += 1
        time.sleep(1 / rate)


if __name__ == "__main__":
    main(float(sys.argv[1]))
