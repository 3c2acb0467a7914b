"""Workers that answer requests."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from postroom import BatchWorker, Bury, Drop, Queue, Retry, Worker, assign_queue, queue_json_request

from .acts import ACTS, Act, note

HASTE: dict[str, Any] = {"backoff": 0.02, "max_attempts": 3, "max_crashes": 2}


class NoSuchUser(Exception):
    pass


@dataclass
class User:
    name: str
    visits: int = 1


asks: Queue[Act] = Queue("asks", Act, max_bytes=1000, **HASTE)
asks_class: Queue[Act] = Queue("asks_class", Act, **HASTE)
asks_async: Queue[Act] = Queue("asks_async", Act, **HASTE)
asks_batch: Queue[Act] = Queue("asks_batch", Act, **HASTE)
asks_on: Queue[Act] = Queue("asks_on", Act, **HASTE)


@assign_queue(asks, timeout=2)
def answer(event: Act) -> object:
    note("begin", n=event.get("n"))
    match event.get("do"):
        case "user":
            return User("Ada")
        case "unknown user":
            raise NoSuchUser("no user 7: nobody")
        case "set":
            return {1, 2}
        case "object":
            return object()
        case "nan":
            return [float("nan")]
        case "large":
            return "x" * (1 << 20)
        case "nothing":
            return None
        case "later":
            raise Retry("not yet", after=event["after"])
        case "bury":
            raise Bury("nobody can mend this")
        case "drop":
            raise Drop("not wanted")
        case "slow":
            time.sleep(event["seconds"])
        case None:
            pass
        case known:
            ACTS[known](event)
    return event


@assign_queue(asks_class, concurrency=2)
class Answers(Worker[Act]):
    def consume(self, event: Act) -> Act:
        return {**event, "by": "class"}


@assign_queue(asks_async, concurrency=200)
async def answer_later(event: Act) -> Act:
    await asyncio.sleep(event.get("seconds", 0))
    if event.get("do") == "fail":
        raise NoSuchUser
    return {**event, "by": "task"}


@assign_queue(asks_batch, batch_seconds=0.05)
class Batch(BatchWorker[Act]):
    def consume_batch(self, events: list[Act]) -> None:
        note("batch", ns=[event.get("n") for event in events])


@assign_queue(asks_on)
def asks_another(event: Act) -> Any:
    return queue_json_request(asks_class, event)
