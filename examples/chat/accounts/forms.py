"""Forms for signing up and confirming."""

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password

from accounts.models import User


class OneLine(forms.CharField):
    """Text whose white space is single spaces: it ends up in the subjects of mails."""

    def to_python(self, value: Any) -> str:
        return " ".join(super().to_python(value).split())


class NewPassword(forms.Form):
    """A name and a password for an address that is known already."""

    name = OneLine(max_length=60, label="Your name", widget=forms.TextInput(attrs={"autocomplete": "name"}))
    password = forms.CharField(
        max_length=128,
        strip=False,
        help_text="At least 10 characters.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, email: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email = email

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "password" in data:
            user = User(email=data.get("email", self.email), name=data.get("name", ""))
            try:
                validate_password(data["password"], user)
            except forms.ValidationError as error:
                self.add_error("password", error)
        return data


class SignUp(NewPassword):
    email = forms.EmailField(
        max_length=254, label="E-mail address", widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )
    field_order = ("name", "email", "password")

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()


class Confirm(forms.Form):
    """Asks for the password of the sign-up, so that nobody can confirm an account that a stranger made for them."""

    password = forms.CharField(
        max_length=128,
        strip=False,
        label="The password you chose",
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
