"""The mailer against the catcher, over SMTP, and the mailbox that shows what was caught."""

import smtplib
import socket
import subprocess
import sys

import pytest

from mail.mailer import Mailer
from mail.store import MOST, Store
from postroom import Bury, queue_json_publish
from teams.models import Invitation
from teams.queues import Invite, invites


@pytest.fixture
def store(tmp_path, settings) -> Store:
    settings.DEBUG = True
    settings.MAIL_STORE = tmp_path / "mails.db"
    store = Store(settings.MAIL_STORE)
    store.create()
    return store


@pytest.fixture
def smtp(store, settings):
    command = [sys.executable, "-m", "mail.catcher", str(settings.MAIL_STORE)]
    with subprocess.Popen(command, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, text=True) as catcher:
        settings.EMAIL_PORT = int(catcher.stdout.readline())
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        yield
        catcher.terminate()
        assert catcher.wait(10) == 0


def send(mailer: Mailer, to: str) -> None:
    mailer.send(to, "Subject", "mail/known.txt", link="http://x/")


def test_one_connection_for_many_mails(smtp, store):
    mailer = Mailer()
    first = mailer._connection.connection
    send(mailer, "a@example.com")
    send(mailer, "b@example.com")
    assert mailer._connection.connection is first
    assert [mail.to for mail in store.newest()] == ["b@example.com", "a@example.com"]
    mailer.close()


def test_a_dropped_connection_is_opened_again(smtp, store):
    mailer = Mailer()
    mailer._connection.connection.sock.shutdown(socket.SHUT_RDWR)
    send(mailer, "a@example.com")
    assert store.count() == 1
    mailer.close()


def test_refused_is_buried_and_busy_is_tried_again(smtp, store):
    mailer = Mailer()
    with pytest.raises(Bury, match=r"bounce@example.com is refused: 550 5.1.1 no such mailbox"):
        send(mailer, "bounce@example.com")
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(mailer, "busy@example.com")
    send(mailer, "busy@example.com")
    assert [mail.to for mail in store.newest()] == ["busy@example.com"]
    mailer.close()


def test_no_server_is_an_error_of_the_mail_not_of_the_start(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = free.getsockname()[1]
        mailer = Mailer()
        with pytest.raises(ConnectionRefusedError):
            send(mailer, "a@example.com")


def test_invitations_through_the_queue(smtp, store, team, ada, postroom):
    made = {
        name: Invitation.objects.create(team=team, email=f"{name}@example.com", invited_by=ada)
        for name in ("bob", "bounce", "busy")
    }
    for invitation in made.values():
        queue_json_publish(invites, Invite(invitation.pk))
    drained = postroom.drain(raises=False)
    assert (drained.done, drained.failed, drained.buried) == (2, 1, 1)
    states = {name: Invitation.objects.get(pk=invitation.pk).state for name, invitation in made.items()}
    assert states == {"bob": "sent", "bounce": "refused", "busy": "sent"}


def test_the_mailbox(client, store, settings):
    assert b"No mail yet" in client.get("/mailbox/").content
    for number in range(40):
        store.add(
            f"{number}@example.com", b"Subject: <b>hi</b>\n\n<script>x</script> http://127.0.0.1/confirm/a:b-c/\n"
        )
    page = client.get("/mailbox/")
    assert len(page.context["mails"]) == 30
    assert b"&lt;b&gt;hi" in page.content
    assert len(client.get(f"/mailbox/?before={page.context['older']}").context["mails"]) == 10
    assert len(client.get("/mailbox/?to=39@").context["mails"]) == 1
    letter = client.get("/mailbox/40/").content
    assert b"<script" not in letter
    assert b'<a href="http://127.0.0.1/confirm/a:b-c/"' in letter
    assert client.get("/mailbox/41/").status_code == 404
    settings.DEBUG = False
    assert client.get("/mailbox/").status_code == 404


def test_rubbish_is_shown_too(client, store):
    store.add("a@example.com", b"\xff\x00Content-Type: text/html; charset=nonsense\nSubject: =?x?q?=ff?=\n\n\xff")
    store.add("a@example.com", b"Content-Type: text/plain; charset=nonsense\n\nbody \xff")
    store.add("a@example.com", b"")
    assert client.get("/mailbox/").status_code == 200
    assert [client.get(f"/mailbox/{number}/").status_code for number in (1, 2, 3)] == [200, 200, 200]


def test_the_store_is_bounded(store, monkeypatch):
    assert MOST == 2000
    monkeypatch.setattr("mail.store.MOST", 5)
    for _ in range(8):
        store.add("a@example.com", b"")
    assert [mail.number for mail in store.newest()] == [8, 7, 6, 5, 4]
