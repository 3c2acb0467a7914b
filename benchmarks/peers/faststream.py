"""FastStream on RabbitMQ; confirms and acknowledging after the work are its defaults.

Quorum queues, ``persist``: https://faststream.ag2.ai/latest/rabbit/rabbit_queue/
Prefetch: https://faststream.ag2.ai/latest/rabbit/ (``default_channel``); acknowledgement:
https://faststream.ag2.ai/latest/rabbit/ack/; msgspec: https://faststream.ag2.ai/latest/getting-started/serialization/
"""

import asyncio
import os
import sys

import uvloop
from fast_depends.msgspec import MsgSpecSerializer
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue

from benchmarks.apps.count import Count, Visit, visit

queue = RabbitQueue("faststream", queue_type=QueueType.QUORUM, durable=True)
broker = RabbitBroker(
    os.environ["POSTROOM_BROKER"],
    default_channel=Channel(prefetch_count=500),
    serializer=MsgSpecSerializer(),
    logger=None,
)
app = FastStream(broker, logger=None)
count = Count("faststream")


@broker.subscriber(queue, ack_policy=AckPolicy.NACK_ON_ERROR)
async def consume(event: Visit) -> None:
    count.add(1)


async def publish(events: int) -> None:
    async with broker:
        await broker.declare_queue(queue)
        for first in range(0, events, 100):
            numbers = range(first, min(first + 100, events))
            await asyncio.gather(*(broker.publish(visit(n), queue, persist=True) for n in numbers))


if __name__ == "__main__":
    uvloop.run(publish(int(sys.argv[1])) if len(sys.argv) > 1 else app.run())
