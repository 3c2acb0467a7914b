"""How often which page was viewed, by whom, in which minute."""

from django.db import models


class PageCount(models.Model):
    minute = models.BigIntegerField()  # minutes since the epoch
    page = models.CharField(max_length=100)
    user = models.BigIntegerField()  # 0: not signed in
    views = models.IntegerField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("minute", "page", "user"), name="one_count_a_minute"),)
