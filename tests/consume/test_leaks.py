"""What a consumer keeps open does not grow with what it has been through."""

from pathlib import Path

from tests.consume.stage import Stage, children, kill


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_no_descriptor_is_left_of_a_dead_executor(stage: Stage) -> None:
    consumer = stage.consumer("--queue", "plain")
    stage.publish("plain", {"n": 0})
    stage.until(lambda: stage.ns() == [0])
    before = descriptors(consumer.pid)
    for n in range(1, 6):
        (executor,) = children(consumer.pid)
        kill(executor)
        stage.publish("plain", {"n": n})
        stage.until(lambda: len(stage.ns()) == n + 1)  # noqa: B023
    assert descriptors(consumer.pid) <= before + 1
    assert stage.stop(consumer) == 0


def test_descriptors_are_not_inherited(stage: Stage) -> None:
    """An executor has its socket, its page, the broker it publishes to, and nothing of its consumer's."""
    consumer = stage.consumer("--queue", "two")
    stage.publish("two", {"n": 0}, {"n": 1})
    stage.until(lambda: len(stage.ns()) == 2)
    for executor in children(consumer.pid):
        opened = {str(link.readlink()) for link in Path(f"/proc/{executor}/fd").iterdir()}
        assert not any("postroom.db" in name for name in opened)
        assert sum(name.startswith("socket:") for name in opened) == 1
    assert stage.stop(consumer) == 0
