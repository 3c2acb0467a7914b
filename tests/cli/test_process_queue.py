"""``process_queue`` from its start to its end."""

import re
import signal

import pytest

from .project import Project, eventually

TEAM_7 = '{"email":"ada@example.com","team":7}'


@pytest.mark.parametrize("option", [None, "--in-process"])
def test_it_consumes_until_sigterm(project: Project, option: str | None) -> None:
    project.ok("publish", project.invites, stdin=f"{TEAM_7}\n" * 20)
    options = () if option is None else (option,)
    ended = project.consume_until(lambda: project.figures(project.invites)["ready"] == 0, *options)
    assert ended.status == 0, ended
    assert project.figures(project.invites)["ready"] == 0
    assert ended.out == ""  # a line an event is for terminals


def test_a_buried_event_is_a_line_on_stderr(local: Project) -> None:
    event_id = local.ok("publish", local.invites, '{"email":"x","team":13}').strip()
    ended = local.consume_until(lambda: local.figures(local.invites)["dead"] == 1)
    line = next(line for line in ended.err.splitlines() if " error " in line)
    assert re.match(rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d error {local.invites} {event_id} buried: ", line)
    assert "\x1b" not in ended.err
    assert "\\x1b[31m13" in line


def test_ctrl_c_stops_it_as_sigterm_does(local: Project) -> None:
    process = local.start("process_queue", "--all")
    try:
        eventually(lambda: local.figures(local.invites)["consumers"] == 1, process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert "Traceback" not in err


def test_mistakes(local: Project) -> None:
    unknown = local.command("process_queue", "--queue", local.invites[:-1])
    assert unknown.status == 1
    assert f"did you mean '{local.invites}'?" in unknown.err
    assert local.command("process_queue").status == 2
    assert local.command("process_queue", "--all", "--grace", "-1").status == 2
    memory = local.command("process_queue", "--all", "--broker", "memory://")
    assert memory.status == 1
    assert "memory:// lives inside one process" in memory.err
    del local.environment["POSTROOM_APP"]
    nameless = local.command("process_queue", "--all")
    assert nameless.status == 2
    assert nameless.err == "postroom: which application? Name its module with --app MODULE or POSTROOM_APP\n"
