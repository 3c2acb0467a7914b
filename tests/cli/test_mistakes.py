"""A user's mistake is one line that says what to do, never a traceback."""

import subprocess
import sys

import pytest

from .project import Project


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["pubish", "q"], 2, "there is no command 'pubish'; did you mean 'publish' or"),
        (["peek"], 2, "the following arguments are required: Q"),
        (["peek", "invites"], 1, "did you mean 'invites-"),
        (["publish", "invites", "{}"], 1, "did you mean 'invites-"),
        (["pause", "invites"], 1, "did you mean 'invites-"),
        (["dead", "list", "invites"], 1, "did you mean 'invites-"),
        (["purge_queue", "invites", "--yes"], 1, "did you mean 'invites-"),
        (["queues", "--app", "shoop"], 1, "there is no module 'shoop'"),
        (["queues", "--app", "broken"], 1, "broken cannot be imported: ZeroDivisionError: division by zero (/"),
        (["queues", "--app", "crooked"], 1, "crooked cannot be imported: SyntaxError: "),
        (["queues", "--broker", "redis://x"], 1, "the broker URL starts with 'redis'"),
        (["queues", "--broker", "amqp://guest@127.0.0.1:1/"], 1, "127.0.0.1:1"),
        (["queues", "--broker", "sqlite:////nowhere/x.db"], 1, "the folder /nowhere does not exist"),
        (["dead", "requeue", "invites"], 2, "which letters?"),
        (["dead", "show", "invites"], 2, "the id of one letter"),
        (["dead", "list", "invites", "--all"], 2, "dead list takes no ids"),
    ],
)
def test_one_line(local: Project, words: list[str], status: int, says: str) -> None:
    (local.folder / "broken.py").write_text("1 / 0")
    (local.folder / "crooked.py").write_text("def (")
    result = local.command(*words)
    assert result.status == status, result
    assert says in result.err
    assert "Traceback" not in result.err
    assert result.out == ""
    if not result.err.startswith("usage:"):
        assert result.err.startswith("postroom: ")
        assert result.err.count("\n") == 1


def test_a_broker_that_is_away_is_one_line(local: Project) -> None:
    result = local.command(
        "publish", local.invites, '{"email": "x", "team": 7}', "--broker", "amqp://guest@127.0.0.1:1/"
    )
    assert (result.status, result.out) == (1, "")
    assert "127.0.0.1:1" in result.err
    assert result.err.count("\n") == 1, result.err


def test_what_is_not_json_is_refused(local: Project) -> None:
    result = local.command("publish", local.invites, "{team: 7}")
    assert (result.status, result.out) == (1, "")
    assert "that is not JSON" in result.err


def test_without_application_and_broker_it_says_what_to_name(local: Project) -> None:
    del local.environment["POSTROOM_APP"], local.environment["POSTROOM_BROKER"]
    result = local.command("queues")
    assert "which broker?" in result.err
    assert not list(local.folder.glob("*.db"))
    result = local.command("queues", "--broker", "sqlite:///typo.db")
    assert "typo.db: correct the broker's URL" in result.err
    assert not list(local.folder.glob("*.db"))


def test_a_reader_who_has_seen_enough_is_no_error(local: Project) -> None:
    local.ok("publish", local.invites, stdin='{"email":"x","team":1}\n' * 3000)
    command = f"{sys.executable} -m postroom peek {local.invites} -n 3000 --json | head -1"
    done = subprocess.run(
        command, shell=True, cwd=local.folder, env=local.environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
