"""Forms of a team."""

from django import forms
from django.utils.text import slugify

from accounts.forms import OneLine
from teams.addresses import Addresses, read

MOST_ADDRESSES = 2000
LONGEST_TEXT = 200_000


class NewTeam(forms.Form):
    name = OneLine(max_length=40, label="Name of the team")


class NewChannel(forms.Form):
    name = OneLine(max_length=40, help_text="Short: releases, lunch, project-x.")
    topic = OneLine(max_length=120, required=False, label="Topic (optional)")

    def clean_name(self) -> str:
        name = slugify(self.cleaned_data["name"])[:40].strip("-_")
        if not name:
            raise forms.ValidationError("Give a name with letters or digits.")
        return name


class NewMessage(forms.Form):
    text = forms.CharField(max_length=4000)


class Invite(forms.Form):
    addresses = forms.CharField(
        max_length=LONGEST_TEXT,
        label="E-mail addresses",
        help_text=f"Up to {MOST_ADDRESSES:,} at once, separated by lines, commas or spaces.",
        widget=forms.Textarea(
            attrs={"rows": 9, "spellcheck": "false", "autocomplete": "off", "placeholder": "ada@example.com"}
        ),
    )

    def clean_addresses(self) -> Addresses:
        found = read(self.cleaned_data["addresses"])
        if len(found.good) + len(found.bad) > MOST_ADDRESSES:
            raise forms.ValidationError(
                f"These are {len(found.good) + len(found.bad):,} addresses; {MOST_ADDRESSES:,} are the most at once."
            )
        return found
