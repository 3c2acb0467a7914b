"""``postroom run``: programs kept running together, and none left behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .project import Project

SETTINGS = """
from postroom import configure
configure(programs={programs!r}, base_dir={folder!r})
"""

# Says who it is and whom it started, in the same process group, and waits.
PARENT = (
    "import os, subprocess\nchild = subprocess.Popen(['sleep', '600'])\nprint('family', os.getpid(), child.pid)\n"
    "child.wait()"
)


class Running:
    """A ``postroom run`` and what it has printed."""

    def __init__(self, project: Project, *flags: str, **programs: list[str]) -> None:
        settings = SETTINGS.format(programs=programs, folder=str(project.folder))
        (project.folder / "shop" / "__init__.py").write_text(settings)
        self._output = project.folder / "output"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "postroom", "run", *flags],
                cwd=project.folder,
                env=project.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def printed(self) -> str:
        return self._output.read_text(errors="replace")

    def until(self, pattern: str, seconds: float = 30) -> "re.Match[str]":
        """Waits until it has printed this."""
        deadline = time.monotonic() + seconds
        while (found := re.search(pattern, self.printed(), re.MULTILINE)) is None:
            assert time.monotonic() < deadline, f"no {pattern!r} in\n{self.printed()}"
            time.sleep(0.02)
        return found

    def end(self) -> int:
        """SIGTERM; the exit status."""
        self.process.terminate()
        return self.process.wait(30)


@pytest.fixture
def run(local: Project) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(*flags: str, **programs: list[str]) -> Running:
        started.append(Running(local, *flags, **programs))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()


def gone(pid: int) -> bool:
    """The process has ended; one that nobody has waited for yet has too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def all_gone(pids: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not all(gone(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in children] + [each for child in children for each in descendants(int(child))]


def test_processors_and_programs_run_together_and_end_together(local: Project, run: Callable[..., Running]) -> None:
    running = run(web=["python", "-c", PARENT])
    family = [int(pid) for pid in running.until(r"^web        \| family (\d+) (\d+)$").groups()]
    running.until(rf"^processors \| .* consuming {local.invites}$")
    local.ok("publish", local.invites, '{"email": "ada@example.com", "team": 1}')
    running.until(rf"^processors \| {local.invites} \S+ ok .* ms$")
    everybody = [*family, *descendants(running.process.pid)]
    assert len(everybody) >= 6  # the program and its child, the consumer and its executor, the guard and its cat
    assert running.end() == 0
    assert all_gone(everybody, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killed_it_leaves_no_orphan(local: Project, run: Callable[..., Running]) -> None:
    running = run("--grace", "1", web=["python", "-c", PARENT])
    running.until(r"family")
    running.until(r"consuming")
    everybody = descendants(running.process.pid)
    running.process.kill()
    running.process.wait()
    assert all_gone(everybody, 10)


def test_what_ends_is_started_again_and_a_crash_loop_is_told(run: Callable[..., Running]) -> None:
    running = run(bad=["python", "-c", "print('out of cheese'); raise SystemExit(3)"])
    running.until(r"^bad        \| ended with status 3 after \d\.\d s; it is started again in \d\.\d s$")
    told = running.until(r"^bad        \| it has not lasted 10 s in 5 attempts; (.*)$", 40)
    assert "Its command is" in told[1]
    assert running.printed().count("out of cheese") >= 5
    assert running.end() == 0


def test_a_program_that_does_not_exist_is_told(run: Callable[..., Running]) -> None:
    running = run(web=["no-such-program"])
    running.until(r"^web        \| cannot be started \(.*no-such-program.*\)")
    assert running.end() == 0


def test_a_killed_consumer_is_started_again(local: Project, run: Callable[..., Running]) -> None:
    running = run()
    running.until(r"consuming")
    (consumer,) = [pid for pid in descendants(running.process.pid) if b"process_queue" in _command_line(pid)]
    os.kill(consumer, signal.SIGKILL)
    running.until(r"was killed by SIGKILL")
    local.ok("publish", local.invites, '{"email": "ada@example.com", "team": 1}')
    running.until(rf"{local.invites} \S+ ok")
    assert running.end() == 0


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_json_lines_are_objects(local: Project, run: Callable[..., Running]) -> None:
    running = run("--json", web=["python", "-c", "import time; print('hello'); time.sleep(600)"])
    running.until("consuming")
    running.until("hello")
    local.ok("publish", local.invites, '{"email": "ada@example.com", "team": 13}')
    running.until("no team")
    assert running.end() == 0
    lines = [json.loads(line) for line in running.printed().splitlines()]
    assert {line["program"] for line in lines} == {"web", "processors"}
    assert all("time" in line and "message" in line for line in lines)
    assert any(line.get("level") == "error" and "no team" in line["message"] for line in lines)


def test_an_application_that_cannot_be_imported_is_one_line(local: Project) -> None:
    (local.folder / "shop" / "workers.py").write_text("import no_such_thing\n")
    result = local.command("run")
    assert result.status == 1
    assert result.err.count("\n") == 1
    assert "no_such_thing" in result.err


def test_programs_that_cannot_be_meant_are_refused(local: Project) -> None:
    for programs in ("{'processors': 'x'}", "{'web': ''}", "'web'", "{'two words': 'x'}"):
        settings = f"import postroom\npostroom.configure(programs={programs})\n"
        (local.folder / "shop" / "__init__.py").write_text(settings)
        result = local.command("run")
        assert result.status == 1
        assert "programs from configure()" in result.err
