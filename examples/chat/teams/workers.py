"""Mails the invitations, one after another over one connection."""

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from mail.mailer import Mailer
from postroom import Bury, Drop, Worker, assign_queue
from teams import tokens
from teams.models import Invitation
from teams.queues import Invite, invites


@assign_queue(invites, timeout=30)
class InviteWorker(Worker[Invite]):
    def start(self) -> None:
        self.mailer = Mailer()

    def stop(self) -> None:
        self.mailer.close()

    def consume(self, event: Invite) -> None:
        invitation = (
            Invitation.objects.select_related("team", "invited_by")
            .filter(pk=event.invitation, sent=None, accepted=None)
            .first()
        )
        if invitation is None:
            # Events may come twice, and someone may have asked twice; nobody shall be mailed twice for it.
            raise Drop(f"invitation {event.invitation} needs no mail")
        link = settings.CHAT_URL + reverse("join", args=[tokens.make(invitation)])
        subject = f"{invitation.invited_by.name} invites you to {invitation.team.name}"
        try:
            self.mailer.send(invitation.email, subject, "mail/invite.txt", invitation=invitation, link=link)
        except Bury as refusal:
            Invitation.objects.filter(pk=invitation.pk).update(refused=str(refusal)[:300])
            raise
        Invitation.objects.filter(pk=invitation.pk).update(sent=timezone.now(), refused="")
