"""``postroom check``, as Nagios calls it."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postroom.policy.checks import State
from tests.docs.pages import ROOT, anchors
from tests.rabbit import RabbitNode

from .project import Project, Result, eventually

PLUGIN = re.compile(
    r"^POSTROOM (CONSUMERS|QUEUES|WORKER) (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+"
    r"( \| ('[^'=]+'=[0-9.e+-]+[a-z%]*(;[0-9.]+;[0-9.]+)? ?)+)?$"
)


def check(project: Project, *words: str) -> Result:
    result = project.command("check", *words)
    assert result.err == ""
    head, *details = result.out.splitlines()
    found = PLUGIN.match(head)
    assert found is not None, head
    assert ("OK", "WARNING", "CRITICAL", "UNKNOWN").index(found[2]) == result.status
    assert not any("|" in line for line in details)
    return result


@contextmanager
def consuming(project: Project) -> Iterator["subprocess.Popen[str]"]:
    process = project.start("process_queue", "--queue", project.invites)
    try:
        eventually(lambda: project.figures(project.invites).get("consumers") == 1, process)
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.communicate(timeout=30)


def publish(project: Project, *teams: int) -> None:
    lines = "".join(json.dumps({"email": "a@example.com", "team": team}) + "\n" for team in teams)
    project.ok("publish", project.invites, stdin=lines)


def test_from_start_to_end(project: Project) -> None:
    invites = project.invites
    result = check(project, "consumers")
    assert result.status == 2
    assert f"{invites}: " in result.out
    assert f"next: postroom process_queue --queue {invites}" in result.out
    publish(project, 7, 8)
    assert "[no-consumers]" in check(project, "queues").out
    with consuming(project) as consumer:
        assert check(project, "consumers").status == 0
        eventually(lambda: project.figures(invites)["ready"] == 0, consumer)
        result = check(project, "queues")
        assert result.status == 0, result
        assert f"'{invites} ready'=0" in result.out
        result = check(project, "worker")
        assert result.status == 0, result
        assert f"'{invites} answering'=1" in result.out
        assert project.figures(invites)["rate"] > 0

        publish(project, 13)
        eventually(lambda: project.figures(invites)["dead"] == 1, consumer)
        result = check(project, "queues", invites)
        assert result.status == 1
        assert f"{invites}: 1 dead letter, 0 allowed [dead-letters]; next: postroom dead list {invites}" in result.out
        assert check(project, "queues", invites, "--dead", "1").status == 0

        project.ok("pause", invites)
        assert f"next: postroom resume {invites}" in check(project, "consumers").out
        project.ok("resume", invites)

        consumer.send_signal(signal.SIGSTOP)  # still connected
        assert check(project, "consumers").status == 0
        result = check(project, "worker")
        assert result.status == 2
        assert "0 of 1 consumer answered within 2 s [no-answer]" in result.out
        publish(project, *[7] * 600)  # more than it can hold
        result = check(project, "queues", "--dead", "1")
        assert result.status in (2, 3), result


def test_a_backlog_and_a_stuck_worker(local: Project) -> None:
    see_a_stuck_worker(local)


@pytest.mark.slow
@pytest.mark.rabbitmq
def test_a_backlog_and_a_stuck_worker_on_rabbitmq(tmp_path: Path, rabbit_node: RabbitNode) -> None:
    see_a_stuck_worker(Project(tmp_path, rabbit_node.url))


def see_a_stuck_worker(project: Project) -> None:
    """A worker that does one event a second, and then one for a minute."""
    workers = project.folder / "shop" / "workers.py"
    workers.write_text(
        "import time\n"
        + workers.read_text()
        .replace("@assign_queue(invites)", "@assign_queue(invites, steady=(1, 1000), burst=(2, 900))")
        .replace("    if event.team == 13:", "    time.sleep(event.team / 10)\n    if event.team == 13:", 1)
    )
    with consuming(project) as consumer:
        publish(project, *[5] * 30, 600, 5)
        eventually(lambda: project.figures(project.invites)["rate"] > 0, consumer)
        result = check(project, "queues")
        assert result.status == 1, result
        assert re.search(r"waiting need \d+ s to clear, above 2 s \(in a burst\) \[backlog-burst\]", result.out)
        assert ";1;1000" in result.out
        result = check(project, "queues", "--burst", "1,2", "--steady", "1,2")
        assert result.status == 2, result
        result = check(project, "queues", "--burst", "500,900")
        assert result.status == 0, result
        time.sleep(1)
        assert "(not emptied for 1 s) [backlog-steady]" in check(project, "queues", "--steady-after", "1").out
        eventually(lambda: "[stuck]" in check(project, "queues", "--stuck", "3").out, consumer)
        result = check(project, "worker", "--stuck", "3")
        assert result.status == 2, result
        assert f"postroom queues {project.invites}" in result.out
        consumer.kill()


def test_no_broker(local: Project) -> None:
    local.environment["POSTROOM_BROKER"] = "amqp://guest:hushhush@127.0.0.1:1/%2F"
    for what in ("consumers", "queues", "worker"):
        result = check(local, what)
        assert result.status == 2
        assert local.invites in result.out
        assert "127.0.0.1:1" in result.out
        assert "[no-broker]; next: postroom doctor" in result.out
        assert "hushhush" not in result.out


def test_what_is_not_known(local: Project) -> None:
    assert "[cannot-check]" in check(local, "queues", "nonesuch").out
    local.environment["POSTROOM_APP"] = "nonesuch"
    result = check(local, "queues")
    assert result.status == 3
    assert "nonesuch" in result.out


def test_the_state_file(local: Project, tmp_path: Path) -> None:
    file = tmp_path / "state"
    result = check(local, "consumers", "--cron", str(file))
    assert result.status == 2
    stamp, status, state, text = file.read_text().rstrip("\n").split("|")
    assert abs(int(stamp) - time.time()) < 60
    assert (status, state) == ("2", "CRITICAL")
    assert local.invites in text
    assert [path.name for path in tmp_path.iterdir() if "state" in path.name] == ["state"]
    read = check(local, "consumers", "--cron-read", str(file))
    assert (read.status, read.out) == (2, text + "\n")

    os.utime(file)
    file.write_text(f"{int(time.time()) - 601}|0|OK|POSTROOM CONSUMERS OK - 1 queue\n")
    old = check(local, "consumers", "--cron-read", str(file))
    assert old.status == 3
    assert "written 10 min" in old.out
    assert check(local, "consumers", "--cron-read", str(file), "--max-age", "700").status == 0
    assert check(local, "consumers", "--cron-read", str(tmp_path / "none")).status == 3
    assert local.command("check", "consumers", "--cron", str(tmp_path / "none" / "x")).status == 3


@pytest.mark.parametrize("state", State)
def test_the_runbook_has_an_entry_for_each_state(state: State) -> None:
    assert state.value in anchors(ROOT / "docs" / "operations.md")
