"""What the publisher of a request is told."""

import pytest

from postroom.policy.answer import after_burial, after_failure
from postroom.policy.verdict import Ack, Bury, Reschedule
from postroom.wire import headers as h
from postroom.wire.reply import of_error


@pytest.mark.parametrize(
    ("kind", "error", "name", "text"),
    [
        ("failed", "shop.NoSuchUser: no user 7: nobody", "shop.NoSuchUser", "no user 7: nobody"),
        ("failed", "KeyboardInterrupt", "KeyboardInterrupt", ""),
        ("rubbish", "Expected `int`", "BadBody", "Expected `int`"),
        ("newer", "Expected `int`", "BadBody", "Expected `int`"),
        ("drop", "out of date", "Drop", "out of date"),
        ("bury", "no such town", "Bury", "no such town"),
        ("retry", "not yet", "Retry", "not yet"),
    ],
)
def test_an_error_by_name(kind: str, error: str, name: str, text: str) -> None:
    assert after_failure(kind, error, Ack()) == of_error(name, text)


def test_nothing_while_it_is_retried_or_nobody_waits() -> None:
    assert after_failure("retry", "not yet", Reschedule({}, 1.0)) is None
    assert after_failure("expired", "too late", Ack()) is None


def test_a_burial() -> None:
    assert after_burial("Crashed", Bury({h.REASON: "it killed 3 executors"})) == of_error(
        "Crashed", "it killed 3 executors"
    )
    assert after_burial("Crashed", Reschedule({}, 1.0)) is None
