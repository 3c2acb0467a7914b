"""Teams, who is in them, what is said in their channels, and who is invited."""

from django.db import models
from django.urls import reverse

from accounts.models import User


class Team(models.Model):
    name = models.CharField(max_length=40)
    slug = models.SlugField(max_length=50, unique=True)
    members = models.ManyToManyField(User, through="Membership", related_name="teams")

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    team = models.ForeignKey(Team, models.CASCADE)
    user = models.ForeignKey(User, models.CASCADE)
    joined = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("team", "user"), name="once_in_a_team"),)


class Channel(models.Model):
    team = models.ForeignKey(Team, models.CASCADE, related_name="channels")
    name = models.SlugField(max_length=40)
    topic = models.CharField(max_length=120, blank=True)

    class Meta:
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=("team", "name"), name="one_channel_of_a_name"),)

    def __str__(self) -> str:
        return f"#{self.name}"

    def get_absolute_url(self) -> str:
        return reverse("channel", args=[self.team.slug, self.name])


class Message(models.Model):
    channel = models.ForeignKey(Channel, models.CASCADE, related_name="messages")
    author = models.ForeignKey(User, models.CASCADE)
    text = models.CharField(max_length=4000)
    sent = models.DateTimeField()

    class Meta:
        ordering = ("id",)


class Invitation(models.Model):
    team = models.ForeignKey(Team, models.CASCADE, related_name="invitations")
    email = models.EmailField()  # always lower case
    invited_by = models.ForeignKey(User, models.CASCADE)
    queued = models.DateTimeField(null=True)  # when its mail was last asked for
    sent = models.DateTimeField(null=True)
    refused = models.CharField(max_length=300, blank=True)  # what the mail server said
    accepted = models.DateTimeField(null=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("team", "email"), name="one_invitation_an_address"),)
        indexes = (models.Index(fields=("invited_by", "queued")),)

    @property
    def state(self) -> str:
        if self.accepted:
            return "joined"
        if self.refused:
            return "refused"
        return "sent" if self.sent else "waiting"
