"""Dramatiq. It declares classic queues, durable ones; quorum queues it does not know.

Confirms: ``confirm_delivery`` on https://dramatiq.io/reference.html
Threads and prefetch (``dramatiq_queue_prefetch``): https://dramatiq.io/advanced.html
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.apps.count import Count, visit

dramatiq.set_broker(RabbitmqBroker(url=os.environ["POSTROOM_BROKER"], confirm_delivery=True))
count = Count("dramatiq")


@dramatiq.actor(queue_name="dramatiq")
def consume(user: int, path: str, note: str) -> None:
    count.add(1)


def publish(number: int) -> None:
    consume.send(**asdict(visit(number)))


if __name__ == "__main__":
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(publish, range(int(sys.argv[1]))))
