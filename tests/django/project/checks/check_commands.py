"""Django's commands are the verbs of ``postroom``."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from postroom import queue_json_publish
from postroom.cli import process_queue
from postroom.cli.main import add_common_arguments
from postroom.django.management.light import project_path
from postroom.testing.room import Room


class Became(Exception):
    """What ``execv`` was called with."""


@pytest.fixture
def becoming(monkeypatch: pytest.MonkeyPatch) -> Callable[..., argparse.Namespace]:
    """Runs ``process_queue`` as a Django command; returns what the light process will understand."""

    def execv(program: str, command: list[str]) -> None:
        raise Became(program, command)

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setenv("PYTHONPATH", "")

    def run(*words: str, **options: Any) -> argparse.Namespace:
        with pytest.raises(Became) as became:
            call_command(*words, **options)
        program, command = became.value.args
        assert program == command[0] == sys.executable
        module = command.index("-m")
        assert command[module : module + 3] == ["-m", "postroom", "process_queue"]
        parser = argparse.ArgumentParser()
        add_common_arguments(parser)
        process_queue.add_arguments(parser)
        return parser.parse_args(command[module + 3 :])

    return run


@pytest.mark.parametrize(
    "words",
    [
        ["--all"],
        ["--queue", "invites", "--queue=visits"],
        ["--all", "--grace", "3.5", "--in-process", "--broker", "memory://x"],
    ],
)
@pytest.mark.parametrize("command", [["process_queue"], ["postroom", "process_queue"], ["postroom", "process-queue"]])
def test_every_option_reaches_the_consumer(
    becoming: Callable[..., argparse.Namespace], command: list[str], words: list[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_common_arguments(parser)
    process_queue.add_arguments(parser)
    assert becoming(*command, *words) == parser.parse_args(["--app", "django", *words])


def test_it_can_be_called_with_keywords(becoming: Callable[..., argparse.Namespace]) -> None:
    assert becoming("process_queue", queue=["invites"], grace=1).queue == ["invites"]
    assert becoming("process_queue", all=True).all


def test_the_projects_folder_stays_on_the_path(
    becoming: Callable[..., argparse.Namespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = str(Path(__file__).parent.parent)
    monkeypatch.setattr(sys, "path", ["", here, *[entry for entry in sys.path if entry not in ("", here)]])
    becoming("process_queue", "--all")
    path = os.environ["PYTHONPATH"].split(os.pathsep)
    assert path[:2] == [str(Path.cwd()), here]
    assert not [entry for entry in path if entry.endswith(("site-packages", "lib-dynload", ".zip"))]
    assert project_path() == path


def test_purge_queue(postroom: Room, capsys: pytest.CaptureFixture[str]) -> None:
    queue_json_publish("greetings", "a@x")
    call_command("purge_queue", "greetings", "--yes")
    assert capsys.readouterr().out == "1 event of greetings deleted\n"


def test_a_users_mistake_is_one_sentence(postroom: Room) -> None:
    with pytest.raises(CommandError, match="'greeting'"):
        call_command("purge_queue", "greeting", "--yes")
    with pytest.raises(CommandError, match="did you mean 'queues'"):
        call_command("postroom", "quues")


def test_postroom_verb(postroom: Room, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("postroom", "publish", "greetings", '"a@x"')
    assert postroom.published("greetings") == ["a@x"]
    with pytest.raises(SystemExit) as ended:
        call_command("postroom", "publish", "greetings", "nonsense")
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("postroom: ")
