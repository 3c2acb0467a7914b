"""Taskiq with taskiq-aio-pika: quorum queues, persistence and confirms are its defaults.

Prefetch (``qos``): https://taskiq-python.github.io/available-components/brokers.html
Acknowledging after the work, tasks at once, uvloop (used where it is installed):
https://taskiq-python.github.io/guide/cli.html
"""

import asyncio
import os
import sys
from dataclasses import asdict

from taskiq.serializers import ORJSONSerializer
from taskiq_aio_pika import AioPikaBroker

from benchmarks.apps.count import Count, visit

broker = AioPikaBroker(os.environ["POSTROOM_BROKER"], qos=500).with_serializer(ORJSONSerializer())
count = Count("taskiq")


@broker.task(task_name="visit")
async def consume(user: int, path: str, note: str) -> None:
    count.add(1)


async def publish(events: int) -> None:
    await broker.startup()
    for first in range(0, events, 100):
        numbers = range(first, min(first + 100, events))
        await asyncio.gather(*(consume.kiq(**asdict(visit(number))) for number in numbers))
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(publish(int(sys.argv[1])))
