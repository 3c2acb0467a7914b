"""The way in."""

from django.db import transaction
from django.http import HttpRequest, HttpResponse

from postroom import aqueue_json_publish, queue_json_publish

from .models import Guest
from .queues import Invite, invites


@transaction.atomic
def invite(request: HttpRequest, email: str) -> HttpResponse:
    """Invites in a transaction, which ``?fail`` makes fail."""
    Guest.objects.create(email=f"asked {email}")
    event_id = queue_json_publish(invites, Invite(email))
    if "fail" in request.GET:
        raise RuntimeError("after the publish")
    return HttpResponse(event_id)


async def ainvite(request: HttpRequest, email: str) -> HttpResponse:
    """Invites from async code."""
    await Guest.objects.acreate(email=f"asked {email}")
    return HttpResponse(await aqueue_json_publish(invites, Invite(email)))
