"""When a failed event is tried again."""

import pytest

from postroom.policy.retry import backoff


@pytest.mark.parametrize(
    ("failures", "first", "chance", "seconds"),
    [
        (1, 5.0, 0.0, 0.0),
        (1, 5.0, 0.5, 2.5),
        (1, 5.0, 0.999, 4.995),
        (2, 5.0, 0.5, 5.0),
        (3, 5.0, 0.5, 10.0),
        (10, 5.0, 0.5, 1280.0),
        (11, 5.0, 0.5, 1800.0),  # an hour is the limit
        (10**6, 5.0, 0.5, 1800.0),
        (7, 0.0, 0.5, 0.0),
    ],
)
def test_exponential_with_full_jitter(failures: int, first: float, chance: float, seconds: float) -> None:
    assert backoff(failures, first, chance) == pytest.approx(seconds)
