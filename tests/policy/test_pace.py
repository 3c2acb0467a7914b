"""How many events are held, and how many handed ahead."""

import pytest

from postroom.policy.clear import time_to_clear
from postroom.policy.pace import ahead, prefetch, smooth


@pytest.mark.parametrize(
    ("mean", "slots", "held"),
    [
        (None, 1, 1),  # they may be slow, and another consumer idle
        (None, 8, 8),
        (60.0, 1, 1),
        (60.0, 4, 4),
        (1.0, 1, 1),
        (0.1, 1, 10),
        (0.1, 4, 40),
        (0.001, 1, 500),
        (0.0, 1, 500),
        (0.0, 600, 600),
    ],
)
def test_about_one_second_of_work_is_held(mean: float | None, slots: int, held: int) -> None:
    assert prefetch(mean, slots) == held


@pytest.mark.parametrize(
    ("mean", "most"), [(None, 0), (60.0, 0), (0.021, 0), (0.02, 1), (0.001, 20), (0.0001, 200), (0.0, 500)]
)
def test_twenty_milliseconds_are_handed_ahead(mean: float | None, most: int) -> None:
    assert ahead(mean) == most


def test_one_slow_event_stops_hoarding_and_many_fast_ones_begin_it_again() -> None:
    mean = smooth(None, 0.1, 100)
    assert mean == pytest.approx(0.001)
    assert prefetch(mean, 1) == 500
    mean = smooth(mean, 60.0, 1)
    assert prefetch(mean, 1) == 1
    for _ in range(20):
        mean = smooth(mean, 0.1, 100)
    assert prefetch(mean, 1) == 500


@pytest.mark.parametrize(
    ("ready", "mean", "consumers", "seconds"),
    [(0, None, 0, 0.0), (10, None, 3, None), (10, 2.0, 0, None), (10, 2.0, 1, 20.0), (10, 2.0, 4, 5.0)],
)
def test_time_to_clear(ready: int, mean: float | None, consumers: int, seconds: float | None) -> None:
    assert time_to_clear(ready, mean, consumers) == seconds
