"""What the page views add up to."""

import time
from datetime import UTC, datetime

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.models import User
from activity.chart import bar_chart
from activity.models import PageCount

MOST_ROWS = 12


@require_GET
@login_required
def activity(request: HttpRequest) -> HttpResponse:
    by_hour = request.GET.get("by") == "hour"
    minutes, columns, every = (60, 24, 6) if by_hour else (1, 60, 10)
    now = int(time.time() // 60)
    first = (now // minutes - columns + 1) * minutes
    counts = PageCount.objects.filter(minute__gte=first)
    views = [0] * columns
    for minute, number in counts.values_list("minute").annotate(number=Sum("views")):
        views[min((minute - first) // minutes, columns - 1)] += number
    starts = [datetime.fromtimestamp((first + number * minutes) * 60, UTC) for number in range(columns)]
    table = [(f"{start:%H:%M}", number) for start, number in zip(starts, views, strict=True)]
    context = {
        "by_hour": by_hour,
        "total": sum(views),
        "chart": bar_chart(table, every),
        "table": [row for row in table if row[1]],
        "pages": counts.values("page").annotate(number=Sum("views")).order_by("-number")[:MOST_ROWS],
        "users": _by_user(counts) if request.user.is_staff else None,
    }
    return render(request, "activity/activity.html", context)


def _by_user(counts: QuerySet[PageCount]) -> list[tuple[str, int]]:
    rows = list(counts.values_list("user").annotate(number=Sum("views")).order_by("-number")[:MOST_ROWS])
    users = User.objects.in_bulk([pk for pk, _ in rows])
    return [(users[pk].name if pk in users else "not signed in", number) for pk, number in rows]
