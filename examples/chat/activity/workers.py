"""Adds up page views by the batch: five hundred views cost one transaction."""

import time
from collections import Counter

from django.db import connection, transaction

from activity.models import PageCount
from activity.queues import PageView, user_activity
from postroom import BatchWorker, assign_queue

KEPT = 7 * 24 * 60  # minutes

ADD = f"""
    INSERT INTO {PageCount._meta.db_table} (minute, page, "user", views) VALUES (%s, %s, %s, %s)
    ON CONFLICT (minute, page, "user") DO UPDATE SET views = {PageCount._meta.db_table}.views + excluded.views
"""


@assign_queue(user_activity, batch_size=500, batch_seconds=2)
class UserActivityWorker(BatchWorker[PageView]):
    def consume_batch(self, events: list[PageView]) -> None:
        # A batch that is delivered again is counted again: a count of page views can bear that.
        counts = Counter((int(view.at // 60), view.page[:100], view.user) for view in events)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(ADD, [(*key, views) for key, views in counts.items()])
            PageCount.objects.filter(minute__lt=time.time() // 60 - KEPT).delete()
