"""Templates link to the mailbox where there is one."""

from django.conf import settings
from django.http import HttpRequest


def mailbox(request: HttpRequest) -> dict[str, bool]:
    return {"mailbox_here": has_mailbox()}


def has_mailbox() -> bool:
    """Only in development: it shows everybody's mail to everybody."""
    return bool(settings.DEBUG and settings.MAIL_STORE.exists())
