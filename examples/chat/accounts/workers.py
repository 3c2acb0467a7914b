"""Mails the link that confirms an address."""

from django.conf import settings
from django.urls import reverse

from accounts import tokens
from accounts.models import User
from accounts.queues import Confirmation, confirmations
from mail.mailer import Mailer
from postroom import Drop, Worker, assign_queue


@assign_queue(confirmations, timeout=30)
class ConfirmationWorker(Worker[Confirmation]):
    def start(self) -> None:
        self.mailer = Mailer()

    def stop(self) -> None:
        self.mailer.close()

    def consume(self, event: Confirmation) -> None:
        user = User.objects.filter(pk=event.user).first()
        if user is None:
            raise Drop(f"user {event.user} is gone")
        if user.is_active:
            # The page that answers a sign-up must not tell who has an account; this mail may.
            link = settings.CHAT_URL + reverse("sign-in")
            self.mailer.send(user.email, "You already have an account", "mail/known.txt", user=user, link=link)
        else:
            link = settings.CHAT_URL + reverse("confirm", args=[tokens.make(user)])
            self.mailer.send(user.email, "Confirm your address", "mail/confirm.txt", user=user, link=link)
