"""Celery.

Quorum queues: https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/rabbitmq.html
Confirms: ``confirm_publish`` on https://docs.celeryq.dev/en/stable/userguide/configuration.html
A high prefetch multiplier for many short tasks: https://docs.celeryq.dev/en/stable/userguide/optimizing.html
The solo pool runs tasks where they arrive, without handing them to another process:
https://docs.celeryq.dev/en/stable/userguide/workers.html
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from celery import Celery

from benchmarks.apps.count import Count, visit

app = Celery("celery", broker=os.environ["POSTROOM_BROKER"])
app.conf.update(
    task_default_queue="celery",
    task_default_queue_type="quorum",
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=500,
    worker_disable_rate_limits=True,
)
count = Count("celery")


@app.task(name="visit")
def consume(user: int, path: str, note: str) -> None:
    count.add(1)


def publish(number: int) -> None:
    consume.apply_async(kwargs=asdict(visit(number)))


if __name__ == "__main__":
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(publish, range(int(sys.argv[1]))))
