"""What becomes of an event, by what its worker does with it."""

import os
import pty
import socket
import time

import pytest

from postroom.wire import headers as h
from tests.consume.stage import Stage


def test_done_is_acknowledged_and_in_order(stage: Stage) -> None:
    stage.publish("plain", *({"n": n} for n in range(200)))
    consumer = stage.consumer("--queue", "plain")
    stage.until(lambda: len(stage.ns()) == 200 and stage.empty("plain"))
    assert stage.ns() == list(range(200))
    assert stage.stop(consumer) == 0
    assert stage.broker.figures("plain").dead == 0


def test_a_failure_is_retried_then_buried_with_all_that_is_known(stage: Stage) -> None:
    before = time.time()
    (bad,) = stage.publish("plain", {"do": "fail", "n": 1}, headers={"tenant": "ada"})
    (flaky,) = stage.publish("plain", {"do": "fail at first", "n": 2})
    stage.consumer("--queue", "plain")
    stage.until(lambda: stage.dead("plain") and 2 in stage.ns())
    (letter,) = stage.dead("plain")
    assert letter.id == bad
    assert [e["attempt"] for e in stage.effects("begin") if e["n"] == 1] == [1, 2, 3]
    assert [e["attempt"] for e in stage.effects("begin") if e["n"] == 2] == [1, 2]
    assert letter.headers["tenant"] == "ada"
    assert letter.headers[h.ATTEMPTS] == 3
    assert letter.headers[h.REASON] == "all 3 attempts failed, the last with ValueError: it does not work"
    assert letter.headers[h.HOST] == socket.gethostname()
    assert "in fails\n    raise ValueError" in h.text(letter.headers, h.TRACEBACK)
    assert "postroom/execute" not in h.text(letter.headers, h.TRACEBACK)
    first, died = h.moment(letter.headers, h.FIRST_FAILED), h.moment(letter.headers, h.DIED)
    assert first is not None
    assert died is not None
    assert before < first < died < time.time()
    assert flaky not in stage.reasons("plain")


def test_rubbish_and_too_large_bodies_are_buried_at_once(stage: Stage) -> None:
    bad = stage.publish(
        "plain",
        b"no json",
        b"",
        b"[1, 2]",
        '{"n": 1}'.encode("utf-16"),
        b"\xff\xfe",
        b"[" * 900,
        b'"' + b"x" * 2000 + b'"',
    )
    stage.publish("plain", {"n": "good"})
    stage.consumer("--queue", "plain")
    stage.until(lambda: len(stage.dead("plain")) == len(bad) and "good" in stage.ns())
    reasons = stage.reasons("plain")
    assert reasons.keys() == set(bad)
    assert reasons[bad[-1]] == "it is 2002 bytes, the queue's max_bytes is 1000"
    assert all(reasons[one].startswith("it is no payload of this queue: ") for one in bad[:-1])
    assert len(stage.ns("begin")) == 1


def test_the_signals(stage: Stage) -> None:
    stage.publish("plain", {"do": "snooze", "n": 1}, {"do": "drop", "n": 3})
    (bury,) = stage.publish("plain", {"do": "bury", "n": 2})
    consumer = stage.consumer("--queue", "plain")
    stage.until(lambda: 1 in stage.ns() and stage.dead("plain"))
    stage.until(lambda: stage.empty("plain"))
    assert [e["attempt"] for e in stage.effects("begin") if e["n"] == 1] == [1, 1]
    assert stage.reasons("plain") == {bury: "the worker buried it: nobody can mend this"}
    assert stage.ns("begin").count(3) == 1
    assert "not wanted any more" in stage.log(consumer)
    assert "attempt 0 failed" not in stage.log(consumer)
    assert "asked for a retry in 0.05 s: not yet" in stage.log(consumer)


def test_current_event(stage: Stage) -> None:
    before = time.time()
    (its,) = stage.publish("plain", {"do": "event"}, headers={"tenant": "ada", "n": 3})
    stage.consumer("--queue", "plain")
    stage.until(lambda: len(stage.effects("event")) == 2)
    first, second = stage.effects("event")
    assert (first["id"], first["queue"], first["attempt"]) == (its, "plain", 1)
    assert first["headers"] == second["headers"] == {"tenant": "ada", "n": 3}
    assert first["first_failed"] is None
    assert second["attempt"] == 2
    assert second["first_failed"] > before
    assert 0 <= first["age"] < second["age"]


@pytest.mark.parametrize(
    ("do", "said"),
    [
        ("silent", "tests.apps.acts.Silent: (its text cannot be had: RuntimeError)"),
        ("unspeakable", "the worker buried it: (its text cannot be had: RuntimeError)"),
        ("surrogate", "ValueError: caf\\udce9"),
        ("huge", "[… cut …]"),
        ("many causes", "number 2999"),
        ("recurse", "RecursionError: maximum recursion depth"),
        ("memory", "MemoryError"),
        ("sys.exit", "SystemExit: 4"),
    ],
)
def test_whatever_is_raised_is_a_failure(stage: Stage, do: str, said: str) -> None:
    (bad,) = stage.publish("plain", {"do": do})
    stage.publish("plain", {"n": "good"})
    consumer = stage.consumer("--queue", "plain")
    stage.until(lambda: stage.dead("plain") and "good" in stage.ns())
    (letter,) = stage.dead("plain")
    assert letter.id == bad
    assert said in h.text(letter.headers, h.REASON)
    assert len(h.text(letter.headers, h.REASON)) < 1100
    assert len(h.text(letter.headers, h.TRACEBACK)) <= 16_384
    assert h.number(letter.headers, h.CRASHES) == 0
    assert "another is started" not in stage.log(consumer)


def test_noise_forks_and_threads_disturb_nothing(stage: Stage) -> None:
    stage.publish("plain", *({"do": do, "n": n} for n, do in enumerate(["noise", "fork"] * 5)))
    consumer = stage.consumer("--queue", "plain")
    stage.until(lambda: len(stage.ns()) == 10 and stage.empty("plain"))
    assert stage.stop(consumer) == 0
    assert stage.dead("plain") == []


def test_versions(stage: Stage) -> None:
    stage.publish("guests", {"mail": "a@x"}, {"n": 1})
    stage.publish("guests", {"email": "b@x"}, headers={h.VERSION: 2})
    (newer,) = stage.publish("guests", {"address": {"email": "c@x"}}, headers={h.VERSION: 3})
    (broken,) = stage.publish("guests", {"mail": 7})
    stage.consumer("--queue", "guests", app="tests.apps.versions")
    stage.until(lambda: len(stage.dead("guests")) == 2 and stage.broker.figures("guests").delayed == 1)
    assert sorted(e["email"] for e in stage.effects("guest")) == ["a@x", "b@x"]
    assert newer not in stage.reasons("guests")
    assert broken in stage.reasons("guests")
    assert any("upgrade() from version 1 raised KeyError" in reason for reason in stage.reasons("guests").values())


def test_a_worker_that_only_seems_to_consume_loses_nothing(stage: Stage) -> None:
    stage.publish("wrapped", {"n": 1})
    stage.consumer("--queue", "wrapped", app="tests.apps.wrapped")
    stage.until(lambda: stage.dead("wrapped"))
    (reason,) = stage.reasons("wrapped").values()
    assert "TypeError: the worker returned a coroutine" in reason


def test_publishing_from_inside_consume(stage: Stage) -> None:
    stage.publish("sends", {"n": 1})
    stage.publish("tasks", {"do": "publish"})
    stage.consumer("--all")
    stage.until(lambda: len(stage.ns()) == 3)
    assert sorted(map(str, stage.ns())) == ["1", "None", "from a task"]
    stage.until(lambda: stage.empty("plain"))


def test_a_line_an_event_on_a_terminal(stage: Stage) -> None:
    """Also for one that was done behind a longer one, and acknowledged before it was reported."""
    ids = stage.publish("plain", *({"n": n} for n in range(300)), {"do": "gate", "n": "gate"})
    ours, theirs = pty.openpty()
    stage.consumer("--queue", "plain", terminal=theirs)
    os.close(theirs)
    stage.until(lambda: "gate" in stage.ns("begin") and stage.broker.figures("plain").in_hand == 1)
    stage.open_gate()
    stage.until(lambda: stage.empty("plain"))
    said = b""
    while said.count(b"\n") < 301:
        said += os.read(ours, 4096)
    assert [line.split()[:3] for line in said.decode().splitlines()] == [["plain", each, "ok"] for each in ids]
    os.close(ours)
