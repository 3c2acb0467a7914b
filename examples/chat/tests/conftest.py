"""A team to test with. Each test has queues in memory, and mails go to `mailoutbox`."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from teams.models import Channel, Membership, Team

PASSWORD = "a long enough one"


@pytest.fixture(autouse=True)
def _everywhere(postroom, settings, db) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def team() -> Team:
    team = Team.objects.create(name="Babbage & Co", slug="babbage")
    Channel.objects.create(team=team, name="general")
    return team


@pytest.fixture
def make_user() -> Callable[..., User]:
    def make(email: str, team: Team | None = None, **fields: object) -> User:
        user = User.objects.create_user(
            email, email.partition("@")[0].title(), PASSWORD, **{"is_active": True} | fields
        )
        if team is not None:
            Membership.objects.create(team=team, user=user)
        return user

    return make


@pytest.fixture
def ada(make_user, team) -> User:
    return make_user("ada@example.com", team)


@pytest.fixture
def as_ada(ada) -> Client:
    """A browser in which a member is signed in."""
    client = Client()
    client.force_login(ada)
    return client
