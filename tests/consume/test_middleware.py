"""Middleware around consume, for every shape of worker."""

from tests.consume.stage import Stage


def test_around_consume(stage: Stage) -> None:
    ids: dict[str, list[str]] = {}
    for queue in ("single", "asynchronous"):
        ids[queue] = stage.publish(queue, {"n": 1}, {"do": "fail"})
        ids[queue] += stage.publish(queue, {"n": 3}, headers={"refuse": True})
    ids["several"] = stage.publish("several", {"n": 1}, {"n": 2}, {"do": "fail"})
    stage.consumer("--all", app="tests.apps.surrounded")
    stage.until(lambda: [len(stage.dead(queue)) for queue in ids] == [2, 2, 1])
    for queue in ("single", "asynchronous"):
        good, bad, refused = ids[queue]
        around = [(e["ids"], e["error"]) for e in stage.effects("around") if e["queue"] == queue]
        assert around == [([good], None), ([bad], "ValueError"), ([bad], "ValueError")]
        assert "PermissionError: not this one" in stage.reasons(queue)[refused]
    one, two, bad = ids["several"]
    around = [(e["ids"], e["error"]) for e in stage.effects("around") if e["queue"] == "several"]
    # The batch, its halves, and the bad one once more.
    assert around[0] == ([one, two, bad], "ValueError")
    assert ([one], None) in around
    assert ([bad], "ValueError") in around
    assert stage.reasons("several").keys() == {bad}
