"""The mixin in Django's test cases: run by pytest and by ``manage.py test``."""

from importlib import import_module

from django.db import transaction
from django.test import TestCase, TransactionTestCase

from postroom import aqueue_json_publish, queue_json_publish
from postroom.testing import PostroomMixin
from postroom.testing.drained import Drained

Guest = import_module("guests.models").Guest


class InTestCase(PostroomMixin, TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        Guest.objects.create(email="of the class")

    def setUp(self) -> None:
        Guest.objects.create(email="of the test")

    def test_three_lines(self) -> None:
        self.client.get("/invite/ada@example.com")
        assert self.drain() == Drained(done=2)
        assert Guest.objects.get(email="ada@example.com").greeted

    def test_a_workers_error(self) -> None:
        queue_json_publish("invites", {"email": "nonsense"})
        with self.assertRaisesMessage(ValueError, "nonsense"):
            self.drain()
        assert self.drain(raises=False) == Drained(failed=2, buried=1)

    def test_rolled_back(self) -> None:
        with transaction.atomic():
            queue_json_publish("invites", {"email": "ada@example.com"})
            transaction.set_rollback(True)
        assert self.published("invites") == []

    def test_other_callbacks_run_too(self) -> None:
        done: list[int] = []

        def outer() -> None:
            done.append(1)
            transaction.on_commit(lambda: done.append(2))

        transaction.on_commit(outer)
        self.drain()
        assert done == [1, 2]

    def test_the_database_is_as_the_test_left_it(self) -> None:
        self.drain()
        assert Guest.objects.count() == 2

    async def test_async(self) -> None:
        await aqueue_json_publish("invites", {"email": "ada@example.com"})
        assert await self.adrain() == Drained(done=2)
        assert (await Guest.objects.aget(email="ada@example.com")).greeted


class InTransactionTestCase(PostroomMixin, TransactionTestCase):
    def test_three_lines(self) -> None:
        self.client.get("/invite/ada@example.com")
        assert self.drain() == Drained(done=2)
        assert Guest.objects.get(email="ada@example.com").greeted
