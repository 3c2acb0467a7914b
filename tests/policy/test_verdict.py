"""What becomes of an event after its outcome."""

import pytest

from postroom.policy.verdict import (
    Ack,
    Bury,
    Limits,
    Moment,
    Reschedule,
    Verdict,
    after_crash,
    after_failure,
    in_place,
    suspected,
    too_large,
)
from postroom.wire import headers as h
from postroom.wire.message import Headers, Message

LIMITS = Limits(max_attempts=3, backoff=4.0, max_crashes=2)
NOW = Moment(1000.0, "here", 0.5)


def message(**headers: str | float) -> Message:
    its: Headers = {"tenant": "ada"}
    its.update({h.PREFIX + name.replace("_", "-"): value for name, value in headers.items()})
    return Message("id", b"{}", its, 900.0)


def after(kind: str, message: Message, after: float = 0.0) -> Verdict:
    return after_failure(message, kind, "ValueError: no", "the traceback", after, LIMITS, NOW)


def test_the_first_failure() -> None:
    verdict = after("failed", message())
    assert isinstance(verdict, Reschedule)
    assert verdict.delay == 2.0
    assert verdict.headers == {
        "tenant": "ada",
        h.ATTEMPTS: 1,
        h.FIRST_FAILED: 1000.0,
        h.LAST_ERROR: "ValueError: no",
        h.GENERATION: 1,
    }


def test_the_second_failure_keeps_the_first_ones_time() -> None:
    verdict = after("failed", message(attempts=1, first_failed=950.0, generation=4))
    assert isinstance(verdict, Reschedule)
    assert verdict.delay == 4.0
    assert verdict.headers[h.FIRST_FAILED] == 950.0
    assert verdict.headers[h.GENERATION] == 5


def test_the_last_failure_buries() -> None:
    verdict = after("failed", message(attempts=2, first_failed=950.0))
    assert isinstance(verdict, Bury)
    assert verdict.headers[h.REASON] == "all 3 attempts failed, the last with ValueError: no"
    assert verdict.headers[h.TRACEBACK] == "the traceback"
    assert verdict.headers[h.HOST] == "here"
    assert verdict.headers[h.DIED] == 1000.0
    assert verdict.headers[h.ATTEMPTS] == 3
    assert verdict.headers["tenant"] == "ada"


@pytest.mark.parametrize("attempts", ["two", True, -1, float("nan"), float("inf"), 2**60, None])
def test_foreign_nonsense_in_the_headers_counts_as_absent(attempts: object) -> None:
    nonsense = message()
    nonsense.headers[h.ATTEMPTS] = attempts  # type: ignore[assignment]
    nonsense.headers[h.FIRST_FAILED] = attempts  # type: ignore[assignment]
    verdict = after("failed", nonsense)
    assert isinstance(verdict, Reschedule)
    assert verdict.headers[h.ATTEMPTS] == 1


def test_the_signals() -> None:
    assert after("drop", message()) == Ack()
    snoozed = after("retry", message(attempts=2), 7.0)
    assert isinstance(snoozed, Reschedule)
    assert snoozed.delay == 7.0
    assert snoozed.headers[h.ATTEMPTS] == 2
    buried = after("bury", message())
    assert isinstance(buried, Bury)
    assert buried.headers[h.REASON] == "the worker buried it: ValueError: no"
    rubbish = after("rubbish", message())
    assert isinstance(rubbish, Bury)


def test_a_newer_version_waits_for_newer_workers() -> None:
    verdict = after("newer", message())
    assert isinstance(verdict, Reschedule)
    assert verdict.delay == 30.0
    last = after("newer", message(attempts=2))
    assert isinstance(last, Bury)
    assert "no worker that knows its version came" in h.text(last.headers, h.REASON)


def test_a_failure_clears_a_suspicion() -> None:
    verdict = after("failed", message(suspect=True))
    assert isinstance(verdict, Reschedule)
    assert h.SUSPECT not in verdict.headers


def test_crashes_are_counted_apart() -> None:
    first = after_crash(message(attempts=2), "was killed by signal SIGSEGV", LIMITS, NOW)
    assert isinstance(first, Reschedule)
    assert (first.headers[h.CRASHES], first.headers[h.ATTEMPTS]) == (1, 2)
    assert first.headers[h.LAST_ERROR] == "its executor was killed by signal SIGSEGV"
    second = after_crash(message(crashes=1), "exited with status 3", LIMITS, NOW)
    assert isinstance(second, Bury)
    assert second.headers[h.REASON] == "it killed 2 executors; the last exited with status 3"


def test_too_large() -> None:
    verdict = too_large(message(), 1, NOW)
    assert isinstance(verdict, Bury)
    assert verdict.headers[h.REASON] == "it is 2 bytes, the queue's max_bytes is 1"


def test_a_suspect_is_marked_and_nothing_counted() -> None:
    verdict = suspected(message())
    assert isinstance(verdict, Reschedule)
    assert (verdict.delay, verdict.headers[h.SUSPECT]) == (0.0, True)
    assert h.ATTEMPTS not in verdict.headers
    assert h.CRASHES not in verdict.headers


def test_a_revived_letter_starts_anew() -> None:
    dead = after("failed", message(attempts=2, crashes=1))
    assert isinstance(dead, Bury)
    assert h.revived(dead.headers) == {"tenant": "ada", h.GENERATION: 3}


def test_in_place_for_ten_minutes_at_most() -> None:
    fails = message(generation=4)
    verdict = in_place(fails, Reschedule(h.rescheduled(fails.headers, attempts=1), 2.0), NOW)
    assert isinstance(verdict, Reschedule)
    assert verdict.delay == 2.0
    assert verdict.headers == {**fails.headers, h.ATTEMPTS: 1, h.HELD: 1000.0}
    late = message(held=410.0)
    verdict = in_place(late, Reschedule(h.rescheduled(late.headers), 300.0), NOW)
    assert isinstance(verdict, Reschedule)
    assert verdict.delay == 10.0
    assert h.GENERATION not in verdict.headers
    over = message(held=400.0)
    buried = in_place(over, Reschedule(h.rescheduled(over.headers, last_error="ValueError: no"), 3.0), NOW)
    assert isinstance(buried, Bury)
    reason = "it was retried in place for 10 minutes, and its followers waited: ValueError: no"
    assert buried.headers[h.REASON] == reason
    assert h.HELD not in h.revived(buried.headers)


ASKED: dict[str, str | float] = {"reply_to": "here", "deadline": 1010.0}


@pytest.mark.parametrize("kind", ["failed", "rubbish", "newer", "drop", "expired"])
def test_a_request_that_fails_is_done(kind: str) -> None:
    assert after(kind, message(**ASKED)) == Ack()


def test_a_request_is_retried_up_to_its_deadline() -> None:
    assert after("retry", message(**ASKED), 9.9) == Reschedule(message(generation=1, **ASKED).headers, 9.9)
    assert after("retry", message(**ASKED), 10.0) == Ack()
    assert isinstance(after("retry", message(reply_to="here"), 1e6), Reschedule)


def test_a_buried_request_is_none_any_more() -> None:
    for verdict in (
        after("bury", message(**ASKED, correlation_id="7")),
        after_crash(message(**ASKED, crashes=1), "was killed", LIMITS, NOW),
    ):
        assert isinstance(verdict, Bury)
        assert not {h.REPLY_TO, h.DEADLINE, h.CORRELATION} & verdict.headers.keys()
