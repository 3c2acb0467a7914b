"""Teams, channels, messages and invitations."""

from typing import Any

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, transaction
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_GET

from accounts.forms import NewPassword
from accounts.models import User
from teams import forms, invitations, tokens
from teams.conversation import grouped
from teams.models import Channel, Invitation, Membership, Team

MESSAGES_A_PAGE = 60
INVITATIONS_SHOWN = 100


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return render(request, "teams/welcome.html")
    first = request.user.teams.order_by("membership__joined").first()
    return redirect("new-team") if first is None else redirect("team", first.slug)


@login_required
def new_team(request: HttpRequest) -> HttpResponse:
    form = forms.NewTeam(request.POST or None)
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["name"]
        with transaction.atomic():
            team = Team.objects.create(name=name, slug=_free_slug(name))
            Membership.objects.create(team=team, user=request.user)
            channel = Channel.objects.create(team=team, name="general", topic="Whatever concerns everybody")
        return redirect(channel)
    return render(request, "teams/new_team.html", {"form": form})


def _free_slug(name: str) -> str:
    slug = wanted = slugify(name)[:40] or "team"
    number = 1
    while Team.objects.filter(slug=slug).exists():
        number += 1
        slug = f"{wanted}-{number}"
    return slug


@require_GET
@login_required
def team(request: HttpRequest, team: str) -> HttpResponse:
    found = _team(request, team)
    channels = found.channels.all()
    return redirect(channels.filter(name="general").first() or channels[0])


@login_required
def new_channel(request: HttpRequest, team: str) -> HttpResponse:
    found = _team(request, team)
    form = forms.NewChannel(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                return redirect(Channel.objects.create(team=found, **form.cleaned_data))
        except IntegrityError:
            form.add_error("name", "There is a channel of this name.")
    return render(request, "teams/new_channel.html", _around(found) | {"form": form})


@login_required
def channel(request: HttpRequest, team: str, channel: str) -> HttpResponse:
    found = _team(request, team)
    here = get_object_or_404(found.channels, name=channel)
    if request.method == "POST":
        form = forms.NewMessage(request.POST)
        if form.is_valid():
            here.messages.create(author=request.user, text=form.cleaned_data["text"], sent=timezone.now())
        elif request.POST.get("text", "").strip():
            messages.error(request, "A message may have 4,000 characters.")
        return redirect(here)
    before = request.GET.get("before", "")
    some = here.messages.select_related("author").order_by("-id")
    if before.isascii() and before.isdigit() and len(before) < 19:
        some = some.filter(id__lt=int(before))
    page = list(some[: MESSAGES_A_PAGE + 1])
    shown = page[:MESSAGES_A_PAGE][::-1]
    context = {
        "channel": here,
        "groups": grouped(shown),
        "older": shown[0].pk if len(page) > MESSAGES_A_PAGE else None,
        "is_latest": not before,
    }
    return render(request, "teams/channel.html", _around(found) | context)


@require_GET
@login_required
def people(request: HttpRequest, team: str) -> HttpResponse:
    found = _team(request, team)
    counts = found.invitations.aggregate(
        joined=Count("pk", Q(accepted__isnull=False)),
        refused=Count("pk", ~Q(refused="") & Q(accepted=None)),
        sent=Count("pk", Q(sent__isnull=False, accepted=None)),
        total=Count("pk"),
    )
    counts["waiting"] = counts["total"] - counts["joined"] - counts["refused"] - counts["sent"]
    context = {
        "members": found.members.order_by("name"),
        "invitations": found.invitations.order_by("-pk")[:INVITATIONS_SHOWN],
        "counts": counts,
        "done": counts["total"] - counts["waiting"],
    }
    return render(request, "teams/people.html", _around(found, "people") | context)


@login_required
def invite(request: HttpRequest, team: str) -> HttpResponse:
    found = _team(request, team)
    form = forms.Invite(request.POST or None)
    result = read = None
    if request.method == "POST" and form.is_valid():
        read = form.cleaned_data["addresses"]
        try:
            result = invitations.invite(found, request.user, read.good)
        except invitations.TooMany:
            form.add_error("addresses", f"You may invite {invitations.AN_HOUR:,} an hour. Try again later.")
        except invitations.NotQueued:
            form.add_error("addresses", "The mails could not be queued. Please send the form once more.")
        else:
            # What was bad stays in the field, to be mended there.
            form = forms.Invite(initial={"addresses": "\n".join(read.bad)})
    return render(
        request, "teams/invite.html", _around(found, "invite") | {"form": form, "result": result, "read": read}
    )


def join(request: HttpRequest, token: str) -> HttpResponse:
    """Accepts an invitation. Whoever has the link has the mailbox, so the address needs no other confirmation."""
    invitation = tokens.invitation_of(token)
    if invitation is None:
        return render(request, "accounts/bad_link.html", {"kind": "invitation"}, status=410)
    context: dict[str, Any] = {"invitation": invitation}
    if request.user.is_authenticated:
        context["is_for_you"] = request.user.email == invitation.email
        if request.method == "POST" and context["is_for_you"]:
            return _joined(request, invitation, request.user)
        return render(request, "teams/join.html", context)
    user = User.objects.filter(email=invitation.email).first()
    if user is not None and user.is_active:
        return render(request, "teams/join.html", context | {"has_account": True})
    form = NewPassword(request.POST or None, email=invitation.email)
    if request.method == "POST" and form.is_valid():
        user = user or User(email=invitation.email)
        user.name, user.is_active = form.cleaned_data["name"], True
        user.set_password(form.cleaned_data["password"])
        user.save()
        login(request, user)
        return _joined(request, invitation, user)
    return render(request, "teams/join.html", context | {"form": form})


def _joined(request: HttpRequest, invitation: Invitation, user: User) -> HttpResponse:
    with transaction.atomic():
        Membership.objects.get_or_create(team=invitation.team, user=user)
        Invitation.objects.filter(pk=invitation.pk).update(accepted=timezone.now())
    messages.success(request, f"Welcome to {invitation.team.name}!")
    return redirect("team", invitation.team.slug)


def _team(request: HttpRequest, slug: str) -> Team:
    """The team, if the user is in it: to everybody else it does not exist."""
    return get_object_or_404(Team, slug=slug, members=request.user)


def _around(team: Team, here: str = "") -> dict[str, Any]:
    """What the frame of every page of a team shows."""
    return {"team": team, "channels": team.channels.all(), "here": here}
