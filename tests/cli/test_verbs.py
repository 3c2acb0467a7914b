"""Each verb, as its user types it."""

import json
import re

from .project import Project

TEAM_7 = '{"email":"ada@example.com","team":7}'


def test_publish_peek_and_queues_tell_the_same(project: Project) -> None:
    event_id = project.ok("publish", project.invites, TEAM_7).strip()
    assert re.fullmatch("[0-9A-Z]{26}", event_id)
    (line,) = project.ok("peek", project.invites, "--json").splitlines()
    event = json.loads(line)
    assert event["id"] == event_id
    assert event["payload"] == {"email": "ada@example.com", "team": 7}
    assert event["attempt"] == 1
    assert event_id in project.ok("peek", project.invites)
    assert project.figures(project.invites)["ready"] == 1
    assert re.search(rf"{project.invites} +1 ", project.ok("queues", project.invites))


def test_publish_streams_lines_and_stops_at_a_bad_one(project: Project) -> None:
    lines = "".join(f'{{"email": "x", "team": {n}}}\n' for n in range(2500))
    assert (
        project.ok("publish", project.invites, stdin=lines + "\n") == f"2,500 events published to {project.invites}\n"
    )
    refused = project.command("publish", project.invites, stdin=f'{TEAM_7}\n\n{{"email": 3}}\n{TEAM_7}\n')
    assert refused.status == 1
    assert re.fullmatch(r"postroom: line 3: .*`str`.*\. 1 event published, this line .*not\n", refused.err)
    refused = project.command("publish", project.invites, stdin=f"{TEAM_7}\n{{\n")
    assert "line 2: not JSON" in refused.err
    assert "1 event published" in refused.err
    assert project.figures(project.invites)["ready"] == 2502


def test_publish_takes_an_id_and_a_delay(local: Project) -> None:
    assert local.ok("publish", local.invites, "--event-id", "mine", "--delay", "60", TEAM_7) == "mine\n"
    assert local.figures(local.invites)["delayed"] == 1


def test_purge_says_how_many(project: Project) -> None:
    project.ok("publish", project.invites, stdin=f"{TEAM_7}\n" * 3)
    refused = project.command("purge_queue", project.invites)
    assert refused.status == 2
    assert "--yes" in refused.err
    assert project.on_terminal("purge_queue", project.invites, typed="n\n").status == 1
    assert project.figures(project.invites)["ready"] == 3
    shown = project.on_terminal("purge_queue", project.invites, typed="y\n")
    assert "Delete 3 events of" in shown.out
    assert own_events(shown.out).endswith(f"3 events of {project.invites} deleted\n")
    assert project.figures(project.invites)["ready"] == 0
    told = project.ok("purge_queue", project.invites, "--yes")
    assert own_events(told) == f"0 events of {project.invites} deleted\n"


def own_events(told: str) -> str:
    """Without the line on delayed events, which those of other tests on a shared broker bring about."""
    return told.replace(
        "delayed events cannot be told apart by queue here: those of this queue will still come\n", ""
    )


def test_purge_warns_of_delayed_events_where_they_stay(project: Project) -> None:
    project.ok("publish", project.invites, TEAM_7)
    project.ok("publish", project.invites, TEAM_7, "--delay", "120")
    told = project.ok("purge_queue", project.invites, "--yes")
    if project.broker.startswith("sqlite"):
        assert told == f"2 events of {project.invites} deleted\n"
    else:
        assert "1 event of" in told
        assert "will still come" in told
        assert "of all queues wait for their time" in project.ok("queues", project.invites)


def test_the_dead_are_listed_shown_requeued_and_dropped(project: Project) -> None:
    project.bury(13, 13, 14)
    queue = project.invites
    letters = [json.loads(line) for line in project.ok("dead", "list", queue, "--json").splitlines()]
    assert [letter["attempts"] for letter in letters] == [1, 1, 1]
    assert "KeyError" in letters[2]["reason"]
    listed = project.ok("dead", "list", queue, "--error", "keyERROR")
    assert letters[2]["id"] in listed
    assert letters[0]["id"] not in listed
    assert "the latest 1 of 3" in project.ok("dead", "list", queue, "-n", "1")

    shown = project.ok("dead", "show", queue, letters[2]["id"])
    assert '"email": "2@example.com"' in shown
    assert "Traceback (most recent call last)" in shown
    assert "KeyError: 'fourteen'" in shown
    whole = json.loads(project.ok("dead", "show", queue, letters[0]["id"], "--json"))
    assert whole["payload"]["team"] == 13

    assert project.ok("dead", "requeue", queue, "--error", "fourteen") == f"1 dead letter of {queue} requeued\n"
    assert project.ok("dead", "requeue", queue, letters[0]["id"]) == f"1 dead letter of {queue} requeued\n"
    assert (project.figures(queue)["ready"], project.figures(queue)["dead"]) == (2, 1)
    assert project.command("dead", "drop", queue, "--all").status == 2
    assert project.ok("dead", "drop", queue, "--all", "--yes") == f"1 dead letter of {queue} dropped\n"
    assert "no dead letters" in project.ok("dead", "list", queue)


def test_an_id_may_be_shortened_while_it_is_unique(local: Project) -> None:
    local.bury(13, 13)
    first, second = (
        json.loads(line)["id"] for line in local.ok("dead", "list", local.invites, "--json").splitlines()
    )
    several = local.command("dead", "show", local.invites, first[:2])
    assert several.status == 1
    assert "give more of the id" in several.err
    assert "no dead letter whose id begins with 'zz'" in local.command("dead", "drop", local.invites, "zz").err
    unique = next(first[:n] for n in range(1, 27) if not second.startswith(first[:n]))
    assert first in local.ok("dead", "show", local.invites, unique)
    assert local.ok("dead", "drop", local.invites, unique) == f"1 dead letter of {local.invites} dropped\n"


def test_pause_and_resume(project: Project) -> None:
    project.ok("publish", project.invites, TEAM_7)
    assert f"postroom resume {project.invites}" in project.ok("pause", project.invites)
    assert project.figures(project.invites)["paused"]
    assert "PAUSED" in project.ok("queues", project.invites)
    project.ok("pause", project.invites)
    project.ok("resume", project.invites)
    assert not project.figures(project.invites)["paused"]


def test_queues_without_an_application(project: Project) -> None:
    project.ok("publish", project.invites, TEAM_7)
    del project.environment["POSTROOM_APP"]
    result = project.command("queues")
    if project.broker.startswith("sqlite"):
        assert project.invites in result.out
    else:
        assert result.status == 1
        assert "RabbitMQ does not tell" in result.err
    assert project.figures(project.invites)["ready"] == 1
