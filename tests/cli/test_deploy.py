"""``deploy``: each file is accepted by the program it is for."""

import difflib
import json
import os
import re
import shlex
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.supervisord import Supervisord

from .project import Project

OUTPUTS = ("supervisor", "systemd", "cron", "nagios")
MORE = """
@assign_queue("{queue}")
def more(event: dict) -> None: ...
"""
NAGIOS = """
cfg_file={folder}/postroom.cfg
cfg_file={folder}/own.cfg
log_file={folder}/nagios.log
object_cache_file={folder}/objects.cache
precached_object_file={folder}/objects.precache
status_file={folder}/status.dat
state_retention_file={folder}/retention.dat
temp_file={folder}/nagios.tmp
temp_path={folder}
check_result_path={folder}/results
lock_file={folder}/nagios.lock
command_file={folder}/nagios.cmd
query_socket={folder}/nagios.qh
nagios_user={user}
nagios_group={user}
illegal_object_name_chars=`~!$%^&*|'"<>?,()=
illegal_macro_output_chars=`~$&|'"<>
interval_length=3
status_update_interval=1
check_external_commands=0
use_syslog=0
"""
NAGIOS_OWN = """
define timeperiod {
    timeperiod_name 24x7
    alias           always
    monday          00:00-24:00
    tuesday         00:00-24:00
    wednesday       00:00-24:00
    thursday        00:00-24:00
    friday          00:00-24:00
    saturday        00:00-24:00
    sunday          00:00-24:00
}
define command {
    command_name nobody
    command_line /bin/true
}
define contact {
    contact_name                  admin
    host_notifications_enabled    0
    service_notifications_enabled 0
    host_notification_period      24x7
    service_notification_period   24x7
    host_notification_commands    nobody
    service_notification_commands nobody
}
define contactgroup {
    contactgroup_name admins
    alias             admins
    members           admin
}
"""


def until(true: Callable[[], bool], seconds: float, what: Callable[[], object]) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


def add_queue(project: Project, queue: str) -> None:
    with (project.folder / "shop" / "workers.py").open("a") as file:
        file.write(MORE.format(queue=queue))


def passed_on(project: Project, **more: str) -> None:
    """Further settings in the environment."""
    project.environment.update(more)


@pytest.mark.parametrize("output", OUTPUTS)
def test_another_queue_makes_lines_of_its_own_and_changes_no_other(local: Project, output: str) -> None:
    before = local.ok("deploy", output).splitlines()
    add_queue(local, "kettles")
    after = local.ok("deploy", output).splitlines()
    changes = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    for kind, start, end, its_start, its_end in changes:
        if kind == "insert":
            assert "kettles" in "\n".join(after[its_start:its_end])
        elif kind != "equal":  # the list of supervisord's group is one line
            assert kind == "replace"
            assert end - start == 1
            assert [line.replace(",postroom-kettles", "") for line in after[its_start:its_end]] == before[start:end]
    if output == "cron":
        assert after == before
    else:
        assert [line.replace("kettles", local.invites) for line in after if "kettles" in line]


def test_what_came_from_the_environment_is_in_the_file_and_what_the_application_says_is_not(local: Project) -> None:
    passed_on(local, POSTROOM_PUBLISH_TIMEOUT="2.5", POSTROOM_BROKER="sqlite:///one.db")
    where = f"sqlite:///{local.folder}/one.db"
    assert f'POSTROOM_BROKER="{where}",POSTROOM_PUBLISH_TIMEOUT="2.5"' in local.ok("deploy", "supervisor")
    systemd = local.ok("deploy", "systemd")
    assert f"Environment=POSTROOM_BROKER={where}\n" in systemd
    assert f"ReadWritePaths=-{local.folder}\n" in systemd
    del local.environment["POSTROOM_BROKER"], local.environment["POSTROOM_PUBLISH_TIMEOUT"]
    configure = "from postroom import configure\nconfigure(broker='amqp://app@mq1/a%2Fb', publish_timeout=3)\n"
    (local.folder / "shop" / "__init__.py").write_text(configure)
    for output in OUTPUTS:
        assert "POSTROOM_" not in local.ok("deploy", output).replace("POSTROOM_APP", "")


def test_no_file_holds_a_password(local: Project) -> None:
    for setting, url in (("BROKER", "amqp://app:hunter2@mq1/prod"), ("MANAGEMENT", "http://app:hunter2@mq1:15672")):
        passed_on(local, **{"POSTROOM_BROKER": "amqp://app@mq1/prod", f"POSTROOM_{setting}": url})
        for output in OUTPUTS:
            result = local.command("deploy", output)
            assert result.status == 1
            assert (
                f"the setting {setting.lower()}, from environment (POSTROOM_{setting}), holds a password"
                in result.err
            )
            assert "setting secrets" in result.err
            assert "hunter2" not in result.out + result.err


def test_what_cannot_be_deployed_is_an_error(local: Project) -> None:
    assert "nothing to deploy: use sqlite" in local.command("deploy", "cron", "--broker", "memory://").err
    (local.folder / "shop" / "workers.py").write_text("")
    assert "no queue of shop has a worker" in local.command("deploy", "cron").err


def test_supervisord_runs_it_and_restarts_it_without_loss(project: Project, supervisor: None) -> None:
    if project.broker.startswith("amqp"):
        secret = project.folder / "secret"
        secret.write_text("guest")
        passed_on(
            project, POSTROOM_BROKER=project.broker.replace("guest:guest@", "guest@"), POSTROOM_SECRETS=str(secret)
        )
    add_queue(project, f"kettles-{project.invites}")
    events = "".join(json.dumps({"email": f"{n}@example.com", "team": n % 10}) + "\n" for n in range(300))
    printed = project.ok("deploy", "supervisor")
    with Supervisord(printed) as its:
        until(lambda: len(its.pids()) == 2, 40, lambda: its.control("status") + its.log())
        before = its.pids()
        project.ok("publish", project.invites, stdin=events)
        said = its.control("restart", "postroom-workers:*")
        assert said.count("stopped") == said.count("started") == 2, said
        project.ok("publish", project.invites, stdin=events)
        until(lambda: project.figures(project.invites)["ready"] == 0, 30, its.log)
        until(lambda: project.figures(project.invites)["in_hand"] in (0, None), 30, its.log)
        assert not set(before.values()) & set(its.pids().values())
        assert project.figures(project.invites)["dead"] == 0
        assert "SIGKILL" not in its.log()


def test_systemd_accepts_it(local: Project, systemd: None, tmp_path: Path) -> None:
    folder = tmp_path / "with space 100%$"
    folder.mkdir()
    (local.folder / "shop").rename(folder / "shop")
    local.folder = folder
    printed = local.ok("deploy", "systemd", "--user", "daemon").replace("/etc/systemd/system", str(tmp_path))
    # As the file itself says how it is put into its places.
    subprocess.run(["awk", "/^# file: /{file=$3} file{print > file}"], input=printed, text=True, check=True)
    target = (tmp_path / "postroom.target").read_text()
    escaped = subprocess.run(["systemd-escape", "--", local.invites], capture_output=True, text=True, check=True)
    instance = f"postroom-queue@{escaped.stdout.strip()}.service"
    assert f"Wants={instance}\n" in target
    (tmp_path / instance).symlink_to(tmp_path / "postroom-queue@.service")
    verified = subprocess.run(
        [
            "systemd-analyze",
            "verify",
            "--man=no",
            "--recursive-errors=no",
            str(tmp_path / "postroom.target"),
            instance,
        ],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr
    assert "postroom" not in verified.stderr


def test_a_consumer_tells_systemd_that_it_consumes(local: Project, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0postroom-test-{os.getpid()}")
        systemd.settimeout(30)
        passed_on(local, NOTIFY_SOCKET=f"@postroom-test-{os.getpid()}", WATCHDOG_USEC="300000")
        process = local.start("process_queue", "--queue", local.invites)
        try:
            heard = [systemd.recv(100) for _ in range(4)]
            assert heard == [b"READY=1", *[b"WATCHDOG=1"] * 3]
            assert local.figures(local.invites)["consumers"] == 1
            process.terminate()
            assert process.wait(30) == 0
            systemd.setblocking(False)
            said: list[bytes] = []
            while not said or said[-1] != b"STOPPING=1":
                said.append(systemd.recv(100))
        finally:
            process.kill()
            process.communicate()


def test_cron_lines_write_the_state_files(local: Project, tmp_path: Path) -> None:
    lines = [line for line in local.ok("deploy", "cron", "--user", "nobody").splitlines() if line.startswith("*")]
    assert len(lines) == 2
    for line, check in zip(lines, ("consumers", "queues"), strict=True):
        found = re.fullmatch(r"\* \* \* \* \* nobody (.+)", line)
        assert found is not None
        words = shlex.split(found[1])
        assert words[:3] == ["cd", str(local.folder), "&&"]
        assert words[words.index("check") :][:4] == ["check", check, "--cron", f"/var/lib/postroom/{check}"]
        mine = found[1].replace("/var/lib/postroom", str(tmp_path))
        ran = subprocess.run(["sh", "-c", mine], env=local.environment, capture_output=True, text=True, check=False)
        assert ran.stdout + ran.stderr == ""
        assert f"POSTROOM {check.upper()}" in (tmp_path / check).read_text()


def test_nagios_accepts_it(local: Project, nagios: None, tmp_path: Path) -> None:
    accepted = subprocess.run(
        ["nagios4", "-v", str(nagios_folder(local, tmp_path))], capture_output=True, text=True, check=False
    )
    assert accepted.returncode == 0, accepted.stdout
    assert "Total Warnings: 0" in accepted.stdout, accepted.stdout
    assert "Checked 2 services" in accepted.stdout, accepted.stdout


def nagios_folder(project: Project, folder: Path) -> Path:
    """Its configuration, in a folder with the printed file."""
    (folder / "results").mkdir()
    (folder / "postroom.cfg").write_text(project.ok("deploy", "nagios"))
    (folder / "own.cfg").write_text(NAGIOS_OWN)
    config = folder / "nagios.cfg"
    config.write_text(NAGIOS.format(folder=folder, user=os.environ.get("USER", "root")))
    return config


@pytest.mark.slow
def test_a_running_nagios_shows_the_states(local: Project, nagios: None, tmp_path: Path) -> None:
    folder = tmp_path / "nagios"
    folder.mkdir()
    config = nagios_folder(local, folder)
    local.ok("publish", local.invites, '{"email": "ada@example.com", "team": 1}')
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(["nagios4", str(config)], stdout=output, stderr=output)
    consumer: subprocess.Popen[str] | None = None
    try:
        shows(folder, local.invites, "consumers", 2)
        consumer = local.start("process_queue", "--queue", local.invites)
        shows(folder, local.invites, "consumers", 0)
        shows(folder, local.invites, "backlog", 0)
    finally:
        for each in (consumer, process):
            if each is not None:
                each.terminate()
                each.communicate(timeout=30)


def shows(folder: Path, queue: str, what: str, state: int) -> None:
    """Waits until Nagios shows this state, with a line of the check."""

    def found() -> str:
        status = (folder / "status.dat").read_text() if (folder / "status.dat").exists() else ""
        service = re.search(rf"service_description={what} of {queue}\n.*?\n\t}}", status, re.DOTALL)
        return service[0] if service else ""

    def there() -> bool:
        service = found()
        return "has_been_checked=1" in service and f"current_state={state}" in service and "=POSTROOM " in service

    until(there, 60, lambda: found() + (folder / "output").read_text())
