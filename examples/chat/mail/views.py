"""The mail catcher's mailbox, for development."""

from datetime import UTC, datetime

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from mail.context import has_mailbox
from mail.store import Mail, Store

A_PAGE = 30


@require_GET
def mailbox(request: HttpRequest) -> HttpResponse:
    store = _store()
    to = request.GET.get("to", "").strip()[:254]
    before = request.GET.get("before", "")
    mails = store.newest(
        to, int(before) if before.isascii() and before.isdigit() and len(before) < 19 else 1 << 62, A_PAGE + 1
    )
    shown = mails[:A_PAGE]
    context = {
        "mails": [_row(mail) for mail in shown],
        "total": store.count(),
        "to": to,
        "older": shown[-1].number if len(mails) > A_PAGE else None,
    }
    return render(request, "mail/mailbox.html", context)


@require_GET
def letter(request: HttpRequest, number: int) -> HttpResponse:
    mail = _store().get(number)
    if mail is None:
        raise Http404(f"there is no mail {number}")
    return render(request, "mail/letter.html", _row(mail) | {"from": mail.sender, "text": mail.text})


def _store() -> Store:
    if not has_mailbox():
        raise Http404("there is no mail catcher here")
    return Store(settings.MAIL_STORE)


def _row(mail: Mail) -> dict[str, object]:
    caught = datetime.fromtimestamp(mail.caught, UTC)
    return {"number": mail.number, "to": mail.to, "subject": mail.subject, "caught": caught}
