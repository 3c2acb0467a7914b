"""An event's metadata, and ids."""

import time

import pytest

from postroom.wire import headers as h
from postroom.wire.event import current_event, current_events, event_of
from postroom.wire.message import Message, new_id


def test_an_event_has_the_publishers_headers_alone() -> None:
    event = event_of(
        "q", Message("id", b"{}", {"tenant": "ada", h.ATTEMPTS: 2, h.FIRST_FAILED: 5.0}, time.time() - 9)
    )
    assert (event.id, event.queue, event.attempt, event.first_failed) == ("id", "q", 3, 5.0)
    assert event.headers == {"tenant": "ada"}
    assert 9 <= event.age < 10


def test_outside_consume() -> None:
    assert current_events() == ()
    with pytest.raises(LookupError):
        current_event()


@pytest.mark.parametrize("value", ["x", True, None, [], float("nan"), float("inf"), 10**400])
def test_a_moment_that_is_none(value: object) -> None:
    assert h.moment({"x": value}, "x") is None  # type: ignore[dict-item]
    assert h.number({"x": value}, "x", 5) == 5  # type: ignore[dict-item]


def test_ids_sort_by_time_and_differ() -> None:
    first = new_id()
    time.sleep(0.002)
    assert first < new_id()
    assert len({new_id() for _ in range(1000)}) == 1000
    assert len(first) == 26
