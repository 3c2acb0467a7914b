"""The token in a confirmation's link: signed, good for three days and while the sign-up it was made for stands."""

from django.core import signing
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.models import User

SALT = "accounts.confirm"
MAX_AGE = 3 * 86400


def make(user: User) -> str:
    return signing.dumps([user.pk, _stamp(user)], salt=SALT)


def user_of(token: str) -> User | None:
    """The user whom the token confirms; None if it is forged, too old or overtaken by a later sign-up."""
    try:
        pk, stamp = signing.loads(token, salt=SALT, max_age=MAX_AGE)
    except signing.BadSignature:
        return None
    user = User.objects.filter(pk=pk).first()
    return user if user is not None and constant_time_compare(stamp, _stamp(user)) else None


def _stamp(user: User) -> str:
    return salted_hmac(SALT, user.password).hexdigest()[:20]
