"""What a consumer logs of the events."""

import json
from typing import Any

from .stage import Stage


def lines(stage: Stage) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stage.log().splitlines() if line.startswith("{")]


def test_a_line_for_each_event_and_each_failure(stage: Stage) -> None:
    """With the event's id, the attempt and the next try; and never with the payload."""
    good, bad = stage.publish("plain", {"n": 1, "secret": "hushhush"}, {"do": "fail", "n": 2, "secret": "hushhush"})
    stage.consumer("--queue", "plain", "--json", "--verbose")
    stage.until(lambda: any(line.get("attempt") == 2 for line in lines(stage)))
    (done,) = [line for line in lines(stage) if line.get("event") == good]
    assert (done["level"], done["queue"]) == ("debug", "plain")
    assert done["message"].startswith(f"plain {good} ok")
    failed = next(line for line in lines(stage) if line.get("event") == bad)
    assert (failed["level"], failed["queue"], failed["attempt"]) == ("warning", "plain", 1)
    assert failed["next_try"] >= 0
    assert "hushhush" not in stage.log()


def test_not_a_line_for_each_event_unless_it_is_asked_for(stage: Stage) -> None:
    good = stage.publish("plain", {"n": 1})[0]
    stage.consumer("--queue", "plain")
    stage.until(lambda: stage.ns() == [1])
    assert good not in stage.log()
