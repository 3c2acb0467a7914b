"""Counting page views behind the page."""

import time

import pytest

from activity.chart import TOP, _round_up, bar_chart
from activity.models import PageCount
from activity.queues import user_activity
from postroom.errors import NotPublished


def test_page_views_are_published_and_counted(as_ada, ada, team, postroom):
    for _ in range(3):
        as_ada.get("/t/babbage/c/general/")
    as_ada.get("/t/babbage/")  # a redirect is no view
    as_ada.get("/nowhere/")
    as_ada.post("/t/babbage/c/general/", {"text": "hello"})
    views = postroom.published(user_activity)
    assert [(view.page, view.user) for view in views] == [("/t/<slug:team>/c/<slug:channel>/", ada.pk)] * 3
    postroom.drain()
    as_ada.get("/t/babbage/c/general/")
    postroom.drain()
    assert sum(PageCount.objects.values_list("views", flat=True)) == 4


def test_old_counts_are_removed(client, postroom):
    PageCount.objects.create(minute=time.time() // 60 - 8 * 24 * 60, page="/", user=0, views=1)
    client.get("/")
    postroom.drain()
    assert [(count.page, count.views) for count in PageCount.objects.all()] == [("/", 1)]


def test_the_page_goes_on_without_the_broker(client, monkeypatch, caplog):
    tries = []

    def refuse(*_: object) -> None:
        tries.append(1)
        raise NotPublished("the broker is away")

    monkeypatch.setattr("activity.middleware.queue_json_publish", refuse)
    assert client.get("/").status_code == 200
    assert client.get("/").status_code == 200
    assert tries == [1], "only the first view waits for a broker that is away"
    assert "not counted for 30 s: the broker is away" in caplog.text


@pytest.mark.parametrize("by", ["minute", "hour"])
def test_the_chart(as_ada, ada, make_user, by):
    bob = make_user("bob@example.com")
    now = int(time.time() // 60)
    PageCount.objects.create(minute=now, page="/", user=0, views=3)
    PageCount.objects.create(minute=now - 1, page="/t/", user=bob.pk, views=4)
    PageCount.objects.create(minute=now - 2000, page="/old/", user=bob.pk, views=4)
    page = as_ada.get(f"/activity/?by={by}")
    assert page.context["total"] == 7
    assert [row["page"] for row in page.context["pages"]] == ["/t/", "/"]
    assert page.context["users"] is None, "who looked at what is for the staff"
    assert 'role="img"' in page.content.decode()
    ada.is_staff = True
    ada.save()
    page = as_ada.get(f"/activity/?by={by}")
    assert page.context["users"] == [("Bob", 4), ("not signed in", 3)]


def test_an_empty_chart(as_ada):
    assert as_ada.get("/activity/").context["total"] == 0


def test_bars_stand_on_the_floor_and_fit():
    chart = bar_chart([("a", 0), ("b", 10), ("c", 20)], every=2)
    assert all(abs(bar.y + bar.height - chart.bottom) < 0.2 for bar in chart.bars)
    assert chart.bars[2].y == TOP
    assert chart.bars[-1].x + chart.bars[-1].width <= chart.right
    assert [tick.label for tick in chart.ticks] == ["a", "c"]
    assert [line.views for line in chart.lines] == [0, 5, 10, 15, 20]


@pytest.mark.parametrize(
    ("views", "top"), [(0, 4), (4, 4), (5, 8), (9, 20), (21, 40), (41, 80), (81, 200), (201, 400)]
)
def test_round_up(views, top):
    assert _round_up(views) == top
