"""The fixture ``postroom`` in a test that is a transaction of pytest-django's."""

from importlib import import_module

import pytest
from django.db import transaction

from postroom import queue_json_publish
from postroom.testing.drained import Drained
from postroom.testing.room import Room


def test_the_transaction_counts_as_committed(postroom: Room, db: None) -> None:
    queue_json_publish("invites", {"email": "a@x"})
    assert postroom.drain() == Drained(done=2)
    (guest,) = import_module("guests.models").Guest.objects.all()
    assert (guest.email, guest.greeted) == ("a@x", True)


@pytest.mark.django_db
def test_but_not_one_of_the_tests_own(postroom: Room) -> None:
    with transaction.atomic():
        queue_json_publish("invites", {"email": "a@x"})
        assert postroom.published("invites") == []
    assert [invite.email for invite in postroom.published("invites")] == ["a@x"]


def test_without_a_database(postroom: Room) -> None:
    queue_json_publish("greetings", "a@x")
    assert postroom.published("greetings") == ["a@x"]


def test_a_queue_that_only_workers_declare_is_found(postroom: Room, db: None) -> None:
    for email in "abcd":
        queue_json_publish("visits", email)
    assert postroom.drain() == Drained(done=4)
