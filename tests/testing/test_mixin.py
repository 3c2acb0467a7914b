"""The mixin, with unittest alone."""

import unittest
from collections.abc import Iterator

import pytest

from postroom import Queue, aqueue_json_publish, assign_queue, queue_json_publish
from postroom.queues.registry import Snapshot
from postroom.testing import PostroomMixin
from postroom.testing.drained import Drained


@pytest.fixture(autouse=True)
def _numbers() -> Iterator[None]:
    snapshot = Snapshot()
    numbers = Queue("numbers", int)

    @assign_queue(numbers)
    def check(number: int) -> None:
        if number < 0:
            raise ValueError(number)

    yield
    snapshot.restore()


class NumberTests(PostroomMixin, unittest.TestCase):
    def setUp(self) -> None:
        queue_json_publish("numbers", 1)

    def test_good(self) -> None:
        assert self.published("numbers") == [1]
        assert self.drain() == Drained(done=1)

    def test_bad(self) -> None:
        queue_json_publish("numbers", -1)
        with pytest.raises(ValueError, match="-1"):
            self.drain()


class AsyncNumberTests(PostroomMixin, unittest.IsolatedAsyncioTestCase):
    async def test_good(self) -> None:
        await aqueue_json_publish("numbers", 2)
        assert self.published("numbers") == [2]
        assert await self.adrain() == Drained(done=1)
