"""Publishes to ``steady``, by turns one by one and in lists, and writes down the ids of all that were confirmed.

``python -m benchmarks.apps.publisher RATE``: events a second; until it is killed.
"""

import os
import sys
import time

from benchmarks.apps.record import record
from benchmarks.apps.steady import steady
from postroom import queue_json_publish, queue_json_publish_many
from postroom.errors import PublishError


def main(rate: float) -> None:
    number = 0
    next_time = time.monotonic()
    while True:
        many = number % 5 == 4
        try:
            if many:
                ids = queue_json_publish_many(steady, [{"n": number + i} for i in range(10)])
            else:
                ids = [queue_json_publish(steady, {"n": number})]
        except PublishError as error:
            record(f"{type(error).__name__}: {error}", "refused")
            time.sleep(0.1)
        else:
            record("\n".join(ids), "published")
            record(f"{time.time()} {os.getpid()}", "confirms")
        number += 1
        next_time += (10 if many else 1) / rate
        time.sleep(max(0.0, next_time - time.monotonic()))
        next_time = max(next_time, time.monotonic() - 1)


if __name__ == "__main__":
    main(float(sys.argv[1]))
