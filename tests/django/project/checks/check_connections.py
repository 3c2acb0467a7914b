"""What surrounds a consume: old and broken connections go, a test's transaction stays."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections, transaction
from django.test import override_settings

from postroom.django import connections as module
from postroom.django.connections import with_fresh_connections

around = contextmanager(with_fresh_connections)
Guest = import_module("guests.models").Guest
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture(params=[0, 60, None], ids=["CONN_MAX_AGE=0", "CONN_MAX_AGE=60", "CONN_MAX_AGE=None"])
def max_age(request: pytest.FixtureRequest) -> Iterator[float | None]:
    before = connection.settings_dict["CONN_MAX_AGE"]
    connection.close()
    connection.settings_dict["CONN_MAX_AGE"] = request.param
    yield request.param
    connection.settings_dict["CONN_MAX_AGE"] = before
    connection.close()


def test_a_connection_is_kept_as_long_as_its_age_allows(max_age: float | None) -> None:
    with around("q", ()):
        Guest.objects.count()
        first = connection.connection
    assert (connection.connection is None) == (max_age == 0)
    with around("q", ()):
        Guest.objects.count()
        assert (connection.connection is first) == (max_age != 0)


def test_one_that_has_grown_old_idle_is_closed_before(max_age: float | None) -> None:
    with around("q", ()):
        Guest.objects.count()
    connection.close_at = 0
    with around("q", ()):
        assert connection.connection is None


def test_it_is_closed_when_the_consume_raises() -> None:
    @around("q", ())
    def fail() -> None:
        raise ZeroDivisionError(Guest.objects.count())

    with pytest.raises(ZeroDivisionError):
        fail()
    assert connection.connection is None


def test_a_tests_transaction_stays() -> None:
    with transaction.atomic():
        Guest.objects.create(email="a@x")
        with around("q", ()):
            assert Guest.objects.count() == 1
        assert Guest.objects.count() == 1
    assert Guest.objects.count() == 1


def test_a_transaction_that_a_consume_left_open_is_rolled_back() -> None:
    with around("q", ()):
        transaction.atomic().__enter__()
        Guest.objects.create(email="a@x")
    with around("q", ()):
        assert not connections["default"].in_atomic_block
        assert Guest.objects.count() == 0
        Guest.objects.create(email="b@x")
    assert Guest.objects.count() == 1


@override_settings(DEBUG=True)
def test_the_log_of_queries_is_emptied() -> None:
    with around("q", ()):
        Guest.objects.count()
        assert len(connection.queries) >= 1
    with around("q", ()):
        assert len(connection.queries) == 0


Seen = list[tuple[int, object]]


async def consume(seen: Seen, barrier: asyncio.Barrier) -> None:
    """An async worker's consume, which notes its thread and its connection."""

    def look() -> tuple[int, object]:
        Guest.objects.count()
        return threading.get_ident(), connections["default"].connection

    with around("q", ()):
        await barrier.wait()
        seen.append(await sync_to_async(look)())
        await Guest.objects.acount()
        await barrier.wait()


async def consume_at_once(seen: Seen, events: int) -> None:
    barrier = asyncio.Barrier(events)
    await asyncio.gather(*(asyncio.create_task(consume(seen, barrier)) for _ in range(events)))


def run_as_executor(main: Coroutine[Any, Any, None]) -> None:
    """Runs it on a thread of its own, where an executor's loop is."""
    module._idle.clear()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, main).result()


def test_tasks_have_a_thread_and_a_connection_each(max_age: float | None) -> None:
    seen: Seen = []

    async def twice() -> None:
        await consume_at_once(seen, 3)
        await consume_at_once(seen, 3)

    run_as_executor(twice())
    assert len({thread for thread, _ in seen}) == 3
    assert len({id(held) for _, held in seen}) == (6 if max_age == 0 else 3)


def test_the_end_of_one_event_does_not_close_anothers_cursor() -> None:
    Guest.objects.bulk_create([Guest(email=f"{n}@x") for n in range(500)])
    read: list[str] = []

    async def reader(middle: asyncio.Event, go_on: asyncio.Event) -> None:
        with around("q", ()):
            async for guest in Guest.objects.order_by("id").aiterator(chunk_size=100):
                read.append(guest.email)
                if len(read) == 150:
                    middle.set()
                    await go_on.wait()

    async def run() -> None:
        middle, go_on = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(reader(middle, go_on))
        await middle.wait()
        for _ in range(3):
            await consume_at_once([], 1)
        go_on.set()
        await task

    run_as_executor(run())
    assert len(read) == 500
