"""Fills an empty database with a team to look at."""

from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from teams.models import Channel, Membership, Message, Team

EMAIL, PASSWORD = "demo@example.com", "let-me-in-please"

PEOPLE = {"Dana Demo": EMAIL, "Ada Lovelace": "ada@example.com", "Grace Hopper": "grace@example.com"}

# channel, topic, and what was said there: minutes ago, by whom, what
TALK = {
    ("general", "Whatever concerns everybody"): (
        (1570, "Ada Lovelace", "Good morning! The new office has a real postroom. Brass pigeonholes, all of it."),
        (1569, "Ada Lovelace", "I have claimed the one by the window."),
        (1540, "Grace Hopper", "Then I take the one with the lock."),
        (
            64,
            "Dana Demo",
            "Welcome to the chat. Everything slow in here happens behind the page: mails, and counting.",
        ),
        (58, "Grace Hopper", "So when I invite the whole fleet, I do not sit and wait for the mail server?"),
        (57, "Dana Demo", "You do not. Paste all the addresses; the page is back before you have let go of the key."),
        (56, "Dana Demo", "The progress is under People, and in the mailbox you can read what was sent."),
        (
            12,
            "Ada Lovelace",
            "Five hundred guests invited. The mail server takes a second for each, and I do not care.",
        ),
        (9, "Grace Hopper", "A ship in port is safe; but that is not what ships are built for."),
        (
            3,
            "Ada Lovelace",
            "There is a chart under Activity, too. Drawn on the server, not a line of script in it.",
        ),
    ),
    ("engines", "Analytical and otherwise"): (
        (300, "Ada Lovelace", "Note G is done. It computes the Bernoulli numbers, if someone builds the machine."),
        (290, "Grace Hopper", "I found the bug in relay 70. It is a moth. I taped it into the log."),
    ),
    ("lunch", ""): (),
}


class Command(BaseCommand):
    help = "makes a demo team with channels, messages and people"

    @transaction.atomic
    def handle(self, *args: str, **options: object) -> None:
        if Team.objects.exists():
            raise CommandError("there is a team already; seed_demo fills an empty database")
        team = Team.objects.create(name="Babbage & Co", slug="babbage")
        people = {}
        for name, email in PEOPLE.items():
            user = User.objects.create_user(email, name, PASSWORD, is_active=True, is_staff=email == EMAIL)
            Membership.objects.create(team=team, user=user)
            people[name] = user
        now = timezone.now()
        for (name, topic), said in TALK.items():
            channel = Channel.objects.create(team=team, name=name, topic=topic)
            Message.objects.bulk_create(
                Message(channel=channel, author=people[who], text=text, sent=now - timedelta(minutes=ago))
                for ago, who, text in said
            )
