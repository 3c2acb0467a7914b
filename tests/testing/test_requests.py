"""Requests in tests: the worker of their queue answers here and now."""

import asyncio
from collections.abc import Iterator

import pytest

from postroom import Queue, Retry, aqueue_json_request, assign_queue, queue_json_publish, queue_json_request
from postroom.errors import NoReply, RequestFailed
from postroom.publish.door import broker
from postroom.queues.registry import Snapshot
from postroom.testing.room import Room


@pytest.fixture(autouse=True)
def _own_queues() -> Iterator[None]:
    snapshot = Snapshot()
    yield
    snapshot.restore()


@pytest.fixture
def doubles() -> Queue[int]:
    queue = Queue("doubles", int)

    @assign_queue(queue)
    def double(number: int) -> int:
        if number < 0:
            raise ValueError("below zero")
        return 2 * number

    return queue


def test_the_reply(postroom: Room, doubles: Queue[int]) -> None:
    assert queue_json_request(doubles, 7) == 14
    assert asyncio.run(aqueue_json_request("doubles", 8)) == 16
    assert postroom.published(doubles) == [7, 8]
    assert postroom.drain().done == 0


def test_the_workers_error_is_its_answer(postroom: Room, doubles: Queue[int]) -> None:
    with pytest.raises(RequestFailed) as raised:
        queue_json_request(doubles, -1)
    assert (raised.value.error, raised.value.text) == ("ValueError", "below zero")
    assert broker().figures("doubles").dead == 0
    assert postroom.drain().done == 0


def test_what_waits_in_other_queues_stays(postroom: Room, doubles: Queue[int]) -> None:
    other = Queue("other", int)
    assign_queue(other)(lambda number: None)
    queue_json_publish(other, 1)
    assert queue_json_request(doubles, 1) == 2
    assert postroom.drain().done == 1


def test_a_worker_that_asks_another(postroom: Room, doubles: Queue[int]) -> None:
    quadruples = Queue("quadruples", int)

    @assign_queue(quadruples)
    def quadruple(number: int) -> int:
        answer: int = queue_json_request(doubles, queue_json_request(doubles, number))
        return answer

    assert queue_json_request(quadruples, 3) == 12


def test_a_retry_is_run_at_once_up_to_the_deadline(postroom: Room) -> None:
    later = Queue("later", float)
    seen: list[float] = []

    @assign_queue(later)
    async def snooze(seconds: float) -> int:
        seen.append(seconds)
        if len(seen) == 1 or seconds > 10:
            raise Retry(after=seconds)
        return len(seen)

    assert queue_json_request(later, 5.0) == 2
    with pytest.raises(RequestFailed, match="raised Retry: the worker asked for a retry in 3600 s"):
        queue_json_request(later, 3600.0)
    assert seen == [5.0, 5.0, 3600.0]


def test_without_a_worker_nobody_waits(postroom: Room) -> None:
    with pytest.raises(NoReply, match="the queue 'nobody' has no worker in this test"):
        queue_json_request(Queue("nobody"), 1)
