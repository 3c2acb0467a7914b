"""Signing up, confirming, signing in."""

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.views import LoginView
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from accounts import forms, tokens
from accounts.models import User
from accounts.queues import Confirmation, confirmations
from postroom import queue_json_publish
from postroom.errors import PublishError


def sign_up(request: HttpRequest) -> HttpResponse:
    form = forms.SignUp(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                user = _signed_up(**form.cleaned_data)
                # Published when the transaction commits: no mail for a sign-up that was rolled back.
                queue_json_publish(confirmations, Confirmation(user.pk))
        except PublishError:
            messages.error(request, "We could not queue your confirmation mail. Please sign up once more.")
        else:
            return redirect("sign-up-sent")
    return render(request, "accounts/sign_up.html", {"form": form})


def _signed_up(name: str, email: str, password: str) -> User:
    """The user of this sign-up. A later one for an address that nobody has confirmed replaces the earlier."""
    user = User.objects.filter(email=email).first()
    if user is None:
        return User.objects.create_user(email, name, password)
    if not user.is_active:
        user.name = name
        user.set_password(password)
        user.save()
    return user


@require_GET
def sign_up_sent(request: HttpRequest) -> HttpResponse:
    return render(request, "accounts/sign_up_sent.html")


def confirm(request: HttpRequest, token: str) -> HttpResponse:
    # Programs that look at mails follow links, so following one must change nothing: confirming is a POST.
    user = tokens.user_of(token)
    if user is None:
        return render(request, "accounts/bad_link.html", {"kind": "confirmation"}, status=410)
    if user.is_active:
        messages.info(request, "Your address is confirmed. Sign in with your password.")
        return redirect("sign-in")
    form = forms.Confirm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if user.check_password(form.cleaned_data["password"]):
            User.objects.filter(pk=user.pk).update(is_active=True)
            user.is_active = True
            login(request, user)
            messages.success(request, "Your address is confirmed. Welcome!")
            return redirect("home")
        form.add_error("password", "This is not the password of your sign-up.")
    return render(request, "accounts/confirm.html", {"form": form, "email": user.email})


class SignIn(LoginView):
    template_name = "accounts/sign_in.html"
    redirect_authenticated_user = True
