"""Signing up and confirming."""

import re

import pytest
from django.core import signing
from django.test import Client

from accounts import tokens
from accounts.models import User
from accounts.queues import Confirmation, confirmations

ADA = {"name": "Ada Lovelace", "email": "Ada@Example.com", "password": "note g is done"}


def link(mail) -> str:
    return re.search(r"http://[^/]+(/\S+)", mail.body)[1]


def test_sign_up_confirm_sign_in(client, postroom, mailoutbox):
    assert client.post("/sign-up/", ADA).url == "/sign-up/sent/"
    assert mailoutbox == []
    user = User.objects.get(email="ada@example.com")
    assert postroom.published(confirmations) == [Confirmation(user.pk)]
    assert not client.login(email=user.email, password=ADA["password"])

    postroom.drain()
    [mail] = mailoutbox
    assert mail.to == ["ada@example.com"]
    address = link(mail)
    assert b"Confirm and sign in" in client.get(address).content
    assert not User.objects.get().is_active, "following a link must change nothing"
    assert b"not the password" in client.post(address, {"password": "a stranger's"}).content
    assert not User.objects.get().is_active
    assert client.post(address, {"password": ADA["password"]}).url == "/"
    assert User.objects.get().is_active
    assert client.get("/", follow=True).redirect_chain[0][0] == "/teams/new/"

    client.post("/sign-out/")
    assert client.get(address).url == "/sign-in/"
    assert client.post("/sign-in/", {"username": "ada@example.com", "password": ADA["password"]}).url == "/"


def test_a_later_sign_up_replaces_an_unconfirmed_one(client, postroom, mailoutbox):
    client.post("/sign-up/", ADA)
    postroom.drain()
    client.post("/sign-up/", ADA | {"password": "the engine weaves"})
    postroom.drain()
    assert client.get(link(mailoutbox[0])).status_code == 410
    assert client.get(link(mailoutbox[1])).status_code == 200
    assert User.objects.get().check_password("the engine weaves")


def test_the_page_does_not_tell_who_has_an_account_but_the_mail_does(client, ada, postroom, mailoutbox):
    assert client.post("/sign-up/", ADA).url == "/sign-up/sent/"
    postroom.drain()
    assert mailoutbox[0].subject == "You already have an account"
    assert User.objects.get().check_password("a long enough one")


@pytest.mark.parametrize(
    "change",
    [
        {"email": "ada"},
        {"password": "short"},
        {"password": "ada@example.com"},
        {"password": "1234567890"},
        {"name": " "},
    ],
)
def test_what_a_sign_up_refuses(client, postroom, change):
    answer = client.post("/sign-up/", ADA | change)
    assert answer.status_code == 200
    assert b'class="mistake"' in answer.content
    assert postroom.published(confirmations) == []


def test_names_are_one_line(client, postroom, mailoutbox):
    client.post("/sign-up/", ADA | {"name": "Ada\r\nBcc: all@example.com"})
    assert User.objects.get().name == "Ada Bcc: all@example.com"


def test_forged_and_old_links(client, make_user, monkeypatch):
    user = make_user("bob@example.com", is_active=False)
    token = tokens.make(user)
    assert client.get(f"/confirm/{token}x/").status_code == 410
    assert client.get(f"/confirm/{signing.dumps([user.pk, ''], salt='other')}/").status_code == 410
    monkeypatch.setattr(tokens, "MAX_AGE", -1)
    assert client.get(f"/confirm/{token}/").status_code == 410


def test_forms_are_safe_from_other_sites():
    assert Client(enforce_csrf_checks=True).post("/sign-up/", ADA).status_code == 403


def test_pages_allow_no_scripts(client):
    assert "default-src 'none'" in client.get("/").headers["Content-Security-Policy"]


def test_a_mail_for_a_user_who_is_gone_is_dropped(postroom, mailoutbox):
    from postroom import queue_json_publish

    queue_json_publish(confirmations, Confirmation(404))
    assert postroom.drain().dropped == 1
    assert mailoutbox == []
