"""Who comes."""

from django.db import models


class Guest(models.Model):
    """One guest."""

    email = models.CharField(max_length=100)
    greeted = models.BooleanField(default=False)
