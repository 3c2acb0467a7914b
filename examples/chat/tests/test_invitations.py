"""Inviting by the hundred, and joining."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from postroom import queue_json_publish
from postroom.errors import NotPublished
from teams import addresses, invitations, tokens
from teams.models import Invitation
from teams.queues import Invite, invites

INVITE = "/t/babbage/invite/"


def test_addresses_as_people_paste_them():
    text = (
        'Bob@Example.com, "Lovelace" <ada@example.com>;\r\n\teve@example.com  bob@example.com\n'
        "not an address\n@x y@\nGrace Hopper\tgrace@example.com\n\n"
    )
    found = addresses.read(text)
    assert found.good == ["bob@example.com", "ada@example.com", "eve@example.com", "grace@example.com"]
    assert found.bad == ["not an address", "@x", "y@"]
    assert found.repeated == 1


def test_bad_ones_stay_to_be_mended(as_ada, team, postroom):
    answer = as_ada.post(INVITE, {"addresses": "bob@example.com\nada@example.com\nnobody<b>\nbob@example.com"})
    content = answer.content.decode()
    assert "1 invitation on the way" in content
    assert "1 is in the team already" in content
    assert "1 not valid: correct it" in content
    assert "nobody&lt;b&gt;</textarea>" in content
    assert postroom.published(invites) == [Invite(Invitation.objects.get().pk)]


def test_five_hundred_cost_a_handful_of_queries(as_ada, team, postroom):
    guests = "\n".join(f"guest{number}@example.com" for number in range(500))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = as_ada.post(INVITE, {"addresses": guests})
    assert b"500 invitations on the way" in answer.content
    assert len(queries) < 25
    assert len(postroom.published(invites)) == 500
    assert b"500 were invited before" in as_ada.post(INVITE, {"addresses": guests}).content
    assert len(postroom.published(invites)) == 500


def test_limits(as_ada, team, ada):
    many = "\n".join(f"guest{number}@example.com" for number in range(2001))
    assert b"2,000 are the most" in as_ada.post(INVITE, {"addresses": many}).content
    assert b'class="mistake"' in as_ada.post(INVITE, {"addresses": "x" * 200_001}).content
    now = timezone.now()
    Invitation.objects.bulk_create(
        Invitation(team=team, email=f"g{number}@example.com", invited_by=ada, queued=now) for number in range(5000)
    )
    assert b"5,000 an hour" in as_ada.post(INVITE, {"addresses": "bob@example.com"}).content
    Invitation.objects.update(queued=now - timedelta(hours=2))
    assert b"1 invitation on the way" in as_ada.post(INVITE, {"addresses": "bob@example.com"}).content


def test_a_mail_that_never_went_out_may_be_asked_for_again(team, ada, postroom):
    invitations.invite(team, ada, ["bob@example.com"])
    assert invitations.invite(team, ada, ["bob@example.com"]) == invitations.Result(0, 0, 1)
    Invitation.objects.update(queued=timezone.now() - timedelta(minutes=11))
    assert invitations.invite(team, ada, ["bob@example.com"]).queued == 1
    assert len(postroom.published(invites)) == 2
    assert postroom.drain().dropped == 1, "asked twice, mailed once"


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away(as_ada, team, monkeypatch):
    def refuse(*_: object) -> None:
        raise NotPublished("the broker is away")

    monkeypatch.setattr("postroom.django.on_commit.publish_now", refuse)
    answer = as_ada.post(INVITE, {"addresses": "bob@example.com"})
    assert b"could not be queued" in answer.content
    assert b"bob@example.com</textarea>" in answer.content
    monkeypatch.undo()
    assert b"1 invitation on the way" in as_ada.post(INVITE, {"addresses": "bob@example.com"}).content


def test_mail_and_join(client, team, ada, postroom, mailoutbox):
    invitations.invite(team, ada, ["bob@example.com"])
    postroom.drain()
    [mail] = mailoutbox
    assert mail.subject == "Ada invites you to Babbage & Co"
    assert Invitation.objects.get().state == "sent"
    link = re.search(r"http://[^/]+(/join/\S+)", mail.body)[1]
    assert b"Join Babbage &amp; Co" in client.get(link).content
    assert b"too short" in client.post(link, {"name": "Bob", "password": "short"}).content
    answer = client.post(link, {"name": "Bob", "password": "difference engine"}, follow=True)
    assert answer.redirect_chain[-1][0] == "/t/babbage/c/general/"
    bob = User.objects.get(email="bob@example.com")
    assert bob.is_active
    assert bob in team.members.all()
    assert Invitation.objects.get().state == "joined"
    assert client.get(link).status_code == 410


def test_join_with_an_account(client, team, ada, make_user):
    invitation = Invitation.objects.create(team=team, email="bob@example.com", invited_by=ada)
    link = f"/join/{tokens.make(invitation)}/"
    bob = make_user("bob@example.com")
    assert b"Sign in to join" in client.get(link).content
    client.post(link, {"name": "Eve", "password": "difference engine"})
    assert User.objects.get(pk=bob.pk).name == "Bob", "a link must not change an account"
    client.force_login(ada)
    assert b"Sign out to accept it" in client.post(link).content
    client.force_login(bob)
    assert client.post(link).url == "/t/babbage/"
    assert bob in team.members.all()


def test_old_links(client, team, ada, monkeypatch):
    token = tokens.make(Invitation.objects.create(team=team, email="bob@example.com", invited_by=ada))
    monkeypatch.setattr(tokens, "MAX_AGE", -1)
    assert client.get(f"/join/{token}/").status_code == 410


def test_the_state_of_invitations(as_ada, team, ada):
    for number, fields in enumerate(
        ({}, {"sent": timezone.now()}, {"refused": "550 <no>"}, {"sent": timezone.now(), "accepted": timezone.now()})
    ):
        Invitation.objects.create(team=team, email=f"{number}@example.com", invited_by=ada, **fields)
    page = as_ada.get("/t/babbage/people/")
    assert page.context["counts"] == {"joined": 1, "refused": 1, "sent": 1, "waiting": 1, "total": 4}
    assert b"550 &lt;no&gt;" in page.content


def test_events_of_the_past_are_dropped(postroom, mailoutbox):
    queue_json_publish(invites, Invite(404))
    assert postroom.drain().dropped == 1
