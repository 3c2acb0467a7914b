"""``postroom run --reload``: a saved file is running a moment later, and nothing is lost or done twice by it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postroom.brokers.connect import connect
from postroom.wire.message import Message, new_id

from .project import Project
from .test_run import Running, descendants

WORKER = """
import os, time
from postroom import assign_queue, current_event
from .queues import Invite, invites

@assign_queue(invites)
def send(event: Invite) -> None:
    time.sleep({seconds})
    with open("done", "a") as done:
        done.write("{version} " + current_event().id + "\\n")
"""

ANOTHER = """
from postroom import assign_queue

@assign_queue("{queue}")
def greet(event: dict) -> None:
    with open("greeted", "a") as done:
        done.write(event["name"])
"""

GUEST = b'{"email": "ada@example.com", "team": 1}'


class Shop:
    """The application, its worker in a version, and what it has done."""

    def __init__(self, project: Project, version: str = "one", seconds: float = 0.0) -> None:
        self.project = project
        self.broker = connect(project.broker)
        self.save(version, seconds)
        self.running = Running(project, "--reload")
        self.running.until("consuming")

    def save(self, version: str, seconds: float = 0.0) -> None:
        """Writes the worker in another version."""
        workers = self.project.folder / "shop" / "workers.py"
        workers.write_text(WORKER.format(version=version, seconds=seconds))

    def publish(self) -> str:
        message = Message(new_id(), GUEST, {}, time.time())
        self.broker.publish(self.project.invites, [message], 0, 5)
        return message.id

    def done(self) -> list[tuple[str, str]]:
        """Version and event of each that was done."""
        path = self.project.folder / "done"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(version, event) for version, event in (line.split() for line in lines)]

    def consumer(self) -> int:
        (pid,) = [
            pid
            for pid in descendants(self.running.process.pid)
            if b"process_queue" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        return pid


@pytest.fixture(params=["sqlite", pytest.param("rabbitmq", marks=[pytest.mark.rabbitmq, pytest.mark.slow])])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """What the consumer does at a reload depends little on the broker: RabbitMQ is for the long run of the tests."""
    if request.param == "sqlite":
        return Project(tmp_path, f"sqlite:///{tmp_path}/postroom.db")
    return Project(tmp_path, request.getfixturevalue("rabbit_node").url)


@pytest.fixture
def shop(project: Project) -> Iterator[Callable[..., Shop]]:
    started: list[Shop] = []

    def start(**options: object) -> Shop:
        started.append(Shop(project, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for each in started:
        each.running.process.kill()
        each.running.process.wait()
        each.broker.close()


def eventually(true: Callable[[], bool], shop: Shop) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, shop.running.printed()
        time.sleep(0.02)


def test_a_saved_worker_takes_over_and_the_connection_stays(shop: Callable[..., Shop]) -> None:
    its = shop()
    consumer = its.consumer()
    first = its.publish()
    eventually(lambda: its.done() == [("one", first)], its)
    its.save("two")
    its.running.until("loaded anew")
    second = its.publish()
    eventually(lambda: its.done() == [("one", first), ("two", second)], its)
    assert its.consumer() == consumer
    assert "connected to RabbitMQ again" not in its.running.printed()
    assert its.running.end() == 0


def test_what_is_in_hand_is_finished_by_the_old_code_and_the_new_has_the_rest(shop: Callable[..., Shop]) -> None:
    its = shop(version="one", seconds=2.0)
    events = [its.publish() for _ in range(3)]
    time.sleep(0.3)  # so that the first is in hand: the page tells it to nobody
    its.save("two")
    its.running.until("loaded anew")
    eventually(lambda: len(its.done()) == 3, its)
    assert its.running.end() == 0
    assert sorted(event for _, event in its.done()) == sorted(events)
    versions = dict(event[::-1] for event in its.done())
    assert versions[events[0]] == "one"
    assert versions[events[2]] == "two"


def test_a_new_queue_in_a_new_file_is_running(shop: Callable[..., Shop]) -> None:
    its = shop()
    name = its.project.invites.replace("invites", "greetings")
    workers = its.project.folder / "shop" / "workers"
    text = (its.project.folder / "shop" / "workers.py").read_text().replace("from .", "from ..")
    workers.mkdir()
    (workers / "__init__.py").write_text("")
    (workers / "invites.py").write_text(text)
    (its.project.folder / "shop" / "workers.py").unlink()
    its.running.until("loaded anew")
    (workers / "greetings.py").write_text(ANOTHER.format(queue=name))
    its.running.until(f"loaded anew .*{name}")
    its.project.ok("publish", name, '{"name": "Ada"}')
    greeted = its.project.folder / "greeted"
    eventually(lambda: greeted.exists() and greeted.read_text() == "Ada", its)
    event = its.publish()
    eventually(lambda: ("one", event) in its.done(), its)
    (workers / "greetings.py").unlink()
    its.running.until(rf"loaded anew .*{name}[\s\S]*loaded anew in \S+ s: consuming {its.project.invites}$")
    assert its.running.end() == 0


def test_a_syntax_error_is_shown_and_waited_out(shop: Callable[..., Shop]) -> None:
    its = shop()
    (its.project.folder / "shop" / "workers.py").write_text("def broken(:\n")
    its.running.until("the new code cannot start")
    its.running.until("SyntaxError")
    assert "importlib" not in its.running.printed()  # the way to it is nobody's concern
    event = its.publish()
    eventually(lambda: its.done() == [("one", event)], its)
    its.save("two")
    its.running.until("loaded anew")
    another = its.publish()
    eventually(lambda: its.done()[-1] == ("two", another), its)
    assert its.running.end() == 0


def test_broken_from_the_start_it_waits_for_a_save(project: Project) -> None:
    (project.folder / "shop" / "workers.py").write_text("import no_such_thing\n")
    running = Running(project, "--reload")
    try:
        running.until("waiting for a file to be saved")
        assert "no_such_thing" in running.printed()
        (project.folder / "shop" / "workers.py").write_text(WORKER.format(version="one", seconds=0))
        running.until("consuming")
        assert running.end() == 0
    finally:
        running.process.kill()
