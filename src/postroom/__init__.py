"""Postroom: queues for the work that a web application must not make its users wait for."""

from postroom.publish.publish import aqueue_json_publish, queue_json_publish, queue_json_publish_many
from postroom.publish.request import aqueue_json_request, queue_json_request
from postroom.queues.assign import assign_queue
from postroom.queues.middleware import around_consume, around_publish
from postroom.queues.queue import Queue
from postroom.queues.signals import Bury, Drop, Retry, TimeLimitReached
from postroom.queues.worker import BatchWorker, Worker
from postroom.settings import configure
from postroom.wire.event import Event, current_event, current_events

__all__ = [
    "BatchWorker",
    "Bury",
    "Drop",
    "Event",
    "Queue",
    "Retry",
    "TimeLimitReached",
    "Worker",
    "aqueue_json_publish",
    "aqueue_json_request",
    "around_consume",
    "around_publish",
    "assign_queue",
    "configure",
    "current_event",
    "current_events",
    "queue_json_publish",
    "queue_json_publish_many",
    "queue_json_request",
]

__version__ = "0.1.0"
