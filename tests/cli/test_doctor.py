"""``doctor``: healthy and ill set-ups."""

import json
from pathlib import Path
from typing import Any

import pytest

from .project import Project, eventually

TEAM_7 = '{"email":"ada@example.com","team":7}'


def _findings(project: Project, *words: str, status: int) -> list[dict[str, Any]]:
    result = project.command("doctor", "--json", *words)
    assert result.err == ""
    assert result.status == status, result
    return [json.loads(line) for line in result.out.splitlines()]


def _about(findings: list[dict[str, Any]], text: str) -> dict[str, Any]:
    return next(finding for finding in findings if text in f"{finding['about']}: {finding['what']}")


def test_a_healthy_set_up(project: Project) -> None:
    project.ok("publish", project.idle, "1")
    process = project.start("process_queue", "--all")
    try:
        # Before the consumer has made its queue, RabbitMQ has none to tell of.
        eventually(lambda: '"consumers":1' in project.command("queues", project.invites, "--json").out, process)
        findings = _findings(project, status=0)
        process.terminate()
        process.communicate(timeout=30)
    finally:
        process.kill()
    assert _about(findings, project.invites)["level"] == "ok"
    assert "no worker" in _about(findings, project.idle)["what"]
    assert _about(findings, "answered in")["level"] == "ok"
    assert "environment (POSTROOM_BROKER)" in _about(findings, "broker = ")["what"]
    if project.broker.startswith("sqlite"):
        assert "is sound" in _about(findings, "postroom.db is")["what"]
    else:
        assert "RabbitMQ 3." in _about(findings, "host 127.0.0.1")["what"] or "RabbitMQ 4." in str(findings)
        assert "guest:guest" not in str(findings)
        assert "password" in _about(findings, "stands in its URL")["what"]


def test_what_needs_a_hand_is_named_with_its_remedy(project: Project) -> None:
    project.ok("publish", project.idle, "1")
    project.bury(13)
    project.ok("publish", project.invites, TEAM_7)
    findings = _findings(project, status=1)
    unconsumed = _about(findings, "nobody consumes")
    assert unconsumed["level"] == "problem"
    assert unconsumed["mend"] == f"postroom process_queue --queue {project.invites}"
    assert _about(findings, "1 dead letter")["mend"] == f"postroom dead list {project.invites}"
    project.ok("pause", project.invites)
    findings = _findings(project, status=0)
    assert _about(findings, "is paused")["mend"] == f"postroom resume {project.invites}"


def test_a_broker_that_cannot_be_reached(local: Project) -> None:
    findings = _findings(local, "--broker", "amqp://u:hushhush@127.0.0.1:1/x", status=1)
    assert "Connection refused" in _about(findings, "host 127.0.0.1:1")["what"]
    assert "hushhush" not in str(findings)


def test_an_application_that_cannot_be_imported(local: Project) -> None:
    (local.folder / "broken.py").write_text("1 / 0")
    findings = _findings(local, "--app", "broken", status=1)
    assert "ZeroDivisionError" in findings[-1]["what"]


def test_looking_makes_no_file(local: Project) -> None:
    findings = _findings(local, status=0)
    assert "does not exist yet" in findings[-1]["what"]
    assert not list(local.folder.glob("*.db*"))


def test_a_damaged_file(local: Project) -> None:
    for _ in range(3):
        local.ok("publish", local.invites, json.dumps({"email": "x" * 20000, "team": 1}))
    local.ok("peek", local.invites)
    file = local.folder / "postroom.db"
    data = bytearray(file.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 8192] = b"\xa5" * 8192
    file.write_bytes(data)
    findings = _findings(local, status=1)
    assert "damaged" in _about(findings, "postroom.db is")["what"]


def test_a_file_and_secrets_for_everyone(local: Project) -> None:
    local.ok("publish", local.invites, TEAM_7)
    local.ok("purge_queue", local.invites, "--yes")
    (local.folder / "postroom.db").chmod(0o666)
    secrets = local.folder / "secrets.conf"
    secrets.write_text("[secrets]\nrabbitmq_password = hushhush\n")
    secrets.chmod(0o644)
    local.environment["POSTROOM_SECRETS"] = str(secrets)
    findings = _findings(local, status=0)
    assert _about(findings, "every user of this machine")["level"] == "warning"
    assert _about(findings, "every user may read the secrets")["mend"] == f"chmod o= {secrets}"
    assert "hushhush" not in str(findings)


def test_a_person_reads_it_in_lines(local: Project) -> None:
    result = local.command("doctor")
    assert result.out.startswith("ok       versions: Postroom ")


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"AMQP\x00\x01\x00\x00"])
def test_a_port_where_something_else_answers(greeting: bytes, tmp_path: Path) -> None:
    import socket
    import threading

    from postroom.operate.doctor.rabbitmq import hosts

    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = server.accept()
        connection.recv(8)
        connection.sendall(greeting)
        connection.close()

    thread = threading.Thread(target=answer)
    thread.start()
    findings = list(hosts(f"amqp://guest@127.0.0.1:{server.getsockname()[1]}/"))
    thread.join()
    server.close()
    assert [finding.level for finding in findings if finding.about.startswith("host")] == ["problem"]
