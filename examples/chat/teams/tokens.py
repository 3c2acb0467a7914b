"""The token in an invitation's link: signed, good for fourteen days."""

from django.core import signing

from teams.models import Invitation

SALT = "teams.invitation"
MAX_AGE = 14 * 86400


def make(invitation: Invitation) -> str:
    return signing.dumps(invitation.pk, salt=SALT)


def invitation_of(token: str) -> Invitation | None:
    """The open invitation of the token; None if it is forged, too old or has been accepted."""
    try:
        pk = signing.loads(token, salt=SALT, max_age=MAX_AGE)
    except signing.BadSignature:
        return None
    return Invitation.objects.select_related("team", "invited_by").filter(pk=pk, accepted=None).first()
