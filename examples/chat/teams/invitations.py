"""Inviting many at once: one transaction, and one publish for all."""

from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from postroom import queue_json_publish_many
from postroom.errors import PublishError
from teams.models import Invitation, Team
from teams.queues import Invite, invites

AN_HOUR = 5000  # the most mails that one member may ask for in an hour
ASK_AGAIN = timedelta(minutes=10)


@dataclass(frozen=True)
class Result:
    queued: int
    members: int  # who are in the team already
    invited: int  # who were invited before and have, or will get, their mail


class TooMany(Exception):
    """The member has asked for as many mails as one may in an hour."""


class NotQueued(Exception):
    """The invitations are kept, but their mails could not be queued; asking again queues them."""


def invite(team: Team, member: User, addresses: list[str]) -> Result:
    """Invites the addresses in the name of ``member``. An address whose mail has not gone out after ten minutes, or
    was refused, may be asked for again. Raises TooMany and NotQueued."""
    now = timezone.now()
    wanted: list[int] = []
    try:
        with transaction.atomic():
            asked = Invitation.objects.filter(invited_by=member, queued__gt=now - timedelta(hours=1)).count()
            if asked + len(addresses) > AN_HOUR:
                raise TooMany
            members = set(team.members.values_list("email", flat=True))
            known = {invitation.email: invitation for invitation in team.invitations.filter(email__in=addresses)}
            fresh = [
                Invitation(team=team, email=email, invited_by=member, queued=now)
                for email in addresses
                if email not in members and email not in known
            ]
            again = [
                invitation
                for email, invitation in known.items()
                if email not in members and not invitation.sent and _may_ask_again(invitation, now - ASK_AGAIN)
            ]
            Invitation.objects.bulk_create(fresh)
            wanted = [invitation.pk for invitation in fresh + again]
            Invitation.objects.filter(pk__in=[i.pk for i in again]).update(queued=now, refused="", invited_by=member)
            # Published when the transaction commits, so that no mail is sent for what was rolled back.
            queue_json_publish_many(invites, [Invite(pk) for pk in wanted])
    except PublishError as error:
        Invitation.objects.filter(pk__in=wanted, sent=None).update(queued=None)
        raise NotQueued from error
    in_team = sum(email in members for email in addresses)
    return Result(len(wanted), in_team, len(addresses) - len(wanted) - in_team)


def _may_ask_again(invitation: Invitation, before: object) -> bool:
    return bool(invitation.refused) or invitation.queued is None or invitation.queued < before
