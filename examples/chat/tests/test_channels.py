"""Teams, channels and messages."""

from datetime import UTC, datetime, timedelta

from django.utils import timezone

from teams.conversation import grouped
from teams.models import Message, Team


def test_a_team_is_started(client, make_user):
    client.force_login(make_user("bob@example.com"))
    assert client.post("/teams/new/", {"name": "Babbage & Co"}).url == "/t/babbage-co/c/general/"
    assert client.post("/teams/new/", {"name": "Babbage & Co"}).url == "/t/babbage-co-2/c/general/"
    assert client.post("/teams/new/", {"name": "機関"}).url == "/t/team/c/general/"
    assert b"Babbage &amp; Co" in client.get("/", follow=True).content


def test_messages_are_posted_and_escaped(as_ada, team):
    page = "/t/babbage/c/general/"
    assert b"Nothing said yet" in as_ada.get(page).content
    assert as_ada.post(page, {"text": '<script>alert("x")</script> https://example.com/?a=<b>'}).url == page
    content = as_ada.get(page).content.decode()
    assert "<script" not in content
    assert "&lt;script&gt;" in content
    assert 'href="https://example.com/?a=' in content
    assert 'rel="nofollow"' in content


def test_empty_and_long_messages(as_ada, team):
    page = "/t/babbage/c/general/"
    as_ada.post(page, {"text": "  "})
    assert b"4,000 characters" in as_ada.post(page, {"text": "x" * 4001}, follow=True).content
    assert Message.objects.count() == 0


def test_older_messages(as_ada, ada, team):
    general = team.channels.get()
    Message.objects.bulk_create(
        Message(channel=general, author=ada, text=f"message {n}.", sent=timezone.now()) for n in range(100)
    )
    first = as_ada.get("/t/babbage/c/general/")
    assert b"message 40." in first.content
    assert b"message 39." not in first.content
    older = as_ada.get(f"/t/babbage/c/general/?before={first.context['older']}")
    assert b"message 39." in older.content
    assert older.context["older"] is None
    assert as_ada.get("/t/babbage/c/general/?before=" + "9" * 5000).status_code == 200


def test_channels_are_opened(as_ada, team):
    new = "/t/babbage/channels/new/"
    assert as_ada.post(new, {"name": "Project X", "topic": ""}).url == "/t/babbage/c/project-x/"
    assert b"There is a channel of this name" in as_ada.post(new, {"name": "project x"}).content
    assert b"letters or digits" in as_ada.post(new, {"name": "!?"}).content


def test_to_others_a_team_does_not_exist(client, make_user, team):
    for page in ("", "c/general/", "people/", "invite/", "channels/new/"):
        assert client.get(f"/t/babbage/{page}").url.startswith("/sign-in/?next=")
    client.force_login(make_user("eve@example.com"))
    for page in ("", "c/general/", "people/", "invite/", "channels/new/"):
        assert client.get(f"/t/babbage/{page}").status_code == 404
        assert client.post(f"/t/babbage/{page}").status_code in (404, 405)
    assert Team.objects.count() == 1


def test_what_one_says_in_one_go_is_one_group(ada, make_user):
    bob, start = make_user("bob@example.com"), datetime(2026, 3, 1, 23, 50, tzinfo=UTC)
    said = [(ada, 0), (ada, 4), (bob, 5), (ada, 6), (ada, 9), (ada, 12), (ada, 30)]
    messages = [Message(author=who, text="…", sent=start + timedelta(minutes=after)) for who, after in said]
    groups = grouped(messages)
    assert [(group.author, len(group.messages)) for group in groups] == [
        (ada, 2),
        (bob, 1),
        (ada, 2),
        (ada, 1),
        (ada, 1),
    ]
    assert [group.day is not None for group in groups] == [True, False, False, True, False]
