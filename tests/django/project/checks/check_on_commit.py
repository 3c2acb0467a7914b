"""Publishing inside and outside transactions, with real commits."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import pytest
from asgiref.sync import async_to_sync
from django.db import connections, transaction
from django.test import AsyncClient, Client

from postroom import queue_json_publish, queue_json_publish_many
from postroom.errors import NotPublished, WrongPayload
from postroom.testing.room import Room

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def invite(email: str) -> str:
    return queue_json_publish("invites", {"email": email})


def emails(postroom: Room) -> list[str]:
    return [invite.email for invite in postroom.published("invites")]


@contextmanager
def rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def test_at_once_outside_a_transaction(postroom: Room) -> None:
    assert len(invite("a@x")) == 26
    assert emails(postroom) == ["a@x"]


def test_on_commit_and_in_order(postroom: Room) -> None:
    with transaction.atomic():
        ids = [invite("a@x"), invite("b@x")]
        with transaction.atomic():
            ids += queue_json_publish_many("invites", [{"email": "c@x"}, {"email": "d@x"}])
        assert len(set(ids)) == 4
        assert emails(postroom) == []
    assert emails(postroom) == ["a@x", "b@x", "c@x", "d@x"]


def test_never_after_a_rollback(postroom: Room) -> None:
    with rolled_back():
        invite("a@x")
    assert emails(postroom) == []


def test_a_savepoint_takes_its_own_with_it(postroom: Room) -> None:
    with transaction.atomic():
        invite("a@x")
        with rolled_back():
            invite("b@x")
        invite("c@x")
    assert emails(postroom) == ["a@x", "c@x"]


def test_a_wrong_payload_is_told_where_it_is_published(postroom: Room) -> None:
    with transaction.atomic(), pytest.raises(WrongPayload):
        queue_json_publish("invites", {"mail": "a@x"})
    assert emails(postroom) == []


def test_on_the_commit_of_another_database(postroom: Room) -> None:
    with transaction.atomic(using="other"):
        invite("a@x")
        assert emails(postroom) == []
    assert emails(postroom) == ["a@x"]


def test_the_default_database_counts_before_another(postroom: Room) -> None:
    with transaction.atomic(), transaction.atomic(using="other"):
        invite("a@x")
    assert emails(postroom) == ["a@x"]
    with transaction.atomic(using="other"):
        with transaction.atomic():
            invite("b@x")
        assert emails(postroom) == ["a@x", "b@x"]


def test_each_thread_has_its_own_transaction(postroom: Room) -> None:
    def other_thread() -> None:
        invite("now@x")
        with transaction.atomic():
            invite("later@x")
            assert emails(postroom) == ["now@x"]
        connections.close_all()

    with transaction.atomic():
        invite("last@x")
        thread = threading.Thread(target=other_thread)
        thread.start()
        thread.join()
        assert emails(postroom) == ["now@x", "later@x"]
    assert emails(postroom) == ["now@x", "later@x", "last@x"]


def test_a_refusal_is_raised_where_the_transaction_ends(postroom: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = import_module("guests.models").Guest

    def refuse(*_: object) -> None:
        raise NotPublished("the broker is full")

    monkeypatch.setattr("postroom.brokers.memory.MemoryBroker.publish", refuse)

    @transaction.atomic
    def come() -> None:
        guest.objects.create(email="a@x")
        invite("a@x")

    with pytest.raises(NotPublished):
        come()
    assert guest.objects.count() == 1


def test_a_view_in_a_transaction(postroom: Room) -> None:
    client = Client()
    with pytest.raises(RuntimeError, match="after the publish"):
        client.get("/invite/a@x?fail")
    assert emails(postroom) == []
    assert len(client.get("/invite/a@x").content) == 26
    assert emails(postroom) == ["a@x"]


def test_an_async_view(postroom: Room) -> None:
    assert len(async_to_sync(AsyncClient().get)("/ainvite/a@x").content) == 26
    assert emails(postroom) == ["a@x"]


def test_a_drain_does_it_all(postroom: Room) -> None:
    guest = import_module("guests.models").Guest
    invite("a@x")
    assert postroom.drain().done == 2
    assert list(guest.objects.values_list("email", "greeted")) == [("a@x", True)]
