"""A Django project as its developers and its operators use it: each test runs its commands."""

import configparser
import contextlib
import json
import os
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from postroom.brokers.connect import connect

PROJECT = Path(__file__).parent / "project"
NOTHING: Mapping[str, str] = {}
Ended = subprocess.CompletedProcess[str]


class Site:
    """The project, with data of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.env = {
            name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "POSTROOM_"))
        }
        self.env |= {"PROJECT_DATA": str(data), "HOME": str(data), "PYTHONDONTWRITEBYTECODE": "1"}

    def python(self, *words: str, cwd: Path = PROJECT, env: Mapping[str, str] = NOTHING, lines: str = "") -> Ended:
        """Runs Python to its end, with ``lines`` to read."""
        return subprocess.run(
            [sys.executable, *words],
            cwd=cwd,
            env=self.env | dict(env),
            input=lines,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def manage(self, *words: str, lines: str = "") -> str:
        """Runs ``manage.py``, which must succeed, from a folder that is not the project's."""
        ended = self.python(str(PROJECT / "manage.py"), *words, cwd=self.data, lines=lines)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    @contextlib.contextmanager
    def running(self, *command: str, cwd: Path) -> "Iterator[subprocess.Popen[str]]":
        """A process that is told to stop at the end, and must with status 0."""
        with (self.data / "log").open("a+") as log:
            process = subprocess.Popen(command, cwd=cwd, env=self.env, stdout=log, stderr=log, text=True)
            try:
                yield process
                process.send_signal(signal.SIGTERM)
                assert process.wait(20) == 0, (self.data / "log").read_text()
            except BaseException:
                sys.stderr.write((self.data / "log").read_text())
                raise
            finally:
                process.kill()
                process.wait()

    def guests(self) -> list[tuple[str, bool]]:
        """Who is in the database: address, greeted."""
        with contextlib.closing(sqlite3.connect(self.data / "default.db", timeout=20)) as database:
            rows = database.execute("SELECT email, greeted FROM guests_guest ORDER BY email").fetchall()
        return [(email, bool(greeted)) for email, greeted in rows]

    def ready(self, queue: str) -> int:
        """How many events wait."""
        return connect(f"sqlite:///{self.data}/postroom.db").figures(queue).ready


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def migrated(site: Site) -> Site:
    site.manage("migrate", "-v0")
    return site


def test_its_tests_by_pytest(site: Site) -> None:
    ended = site.python("-m", "pytest", "-o", "addopts=-q -p no:cacheprovider -p no:asyncio")
    assert ended.returncode == 0, ended.stdout


def test_its_tests_by_djangos_runner(site: Site) -> None:
    ended = site.python("manage.py", "test", "-p", "check_testcase.py")
    assert ended.returncode == 0, ended.stderr
    assert "Ran 7 tests" in ended.stderr


@pytest.mark.parametrize("max_age", ["0", "60"])
def test_process_queue(migrated: Site, max_age: str) -> None:
    migrated.env["PROJECT_CONN_MAX_AGE"] = max_age
    addresses = [f"{number}@x" for number in range(5)]
    lines = "".join(json.dumps({"email": address}) + "\n" for address in addresses)
    migrated.manage("postroom", "publish", "invites", lines=lines)
    migrated.manage("postroom", "publish", "visits", '"visitor"')
    manage = str(PROJECT / "manage.py")
    with migrated.running(sys.executable, manage, "process_queue", "--all", cwd=migrated.data) as process:
        wait_until(lambda: migrated.guests() == [*((each, True) for each in addresses), ("visitor", False)])
        # It is no Django process any more: the consumer, which holds the connection alone.
        if sys.platform == "linux":
            assert b"-m\0postroom\0process_queue" in Path(f"/proc/{process.pid}/cmdline").read_bytes()


def test_process_queue_in_process(migrated: Site) -> None:
    migrated.manage("postroom", "publish", "invites", '{"email": "a@x"}')
    manage = str(PROJECT / "manage.py")
    with migrated.running(sys.executable, manage, "process_queue", "--all", "--in-process", cwd=migrated.data):
        wait_until(lambda: migrated.guests() == [("a@x", True)])


def test_publishing_from_gunicorns_forked_workers(migrated: Site) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    gunicorn = [sys.executable, "-m", "gunicorn", "conf.wsgi", "--preload", "-w", "2", "-b", f"127.0.0.1:{port}"]
    # Published before the fork too: the parent's connection must not become the children's.
    preload = migrated.data / "gunicorn.conf.py"
    preload.write_text(
        "def when_ready(server):\n    from postroom import queue_json_publish\n"
        "    queue_json_publish('invites', {'email': 'parent'})\n"
    )

    def get(path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except urllib.error.URLError:
            return 0

    with migrated.running(*gunicorn, "-c", str(preload), cwd=PROJECT):
        wait_until(lambda: get("nowhere") == 404)
        assert [get(f"invite/{number}@x") for number in range(6)] == [200] * 6
        assert [get(f"ainvite/{number}@y") for number in range(6)] == [200] * 6
        assert get("invite/a@x?fail") == 500
        assert migrated.ready("invites") == 13


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("POSTROOM = {'BROKR': 'x'}", "unknown key 'BROKR' of POSTROOM in settings; did you mean 'BROKER'"),
        ("POSTROOM = {'broker': 'x'}", "unknown key 'broker' of POSTROOM in settings; did you mean 'BROKER'"),
        ("POSTROOM = {'APP': 'x'}", "unknown key 'APP'"),
        ("POSTROOM = 'sqlite:///x'", "must be a dict"),
        ("INSTALLED_APPS = ['guests']", '"postroom.django" is not in INSTALLED_APPS'),
    ],
)
def test_wrong_settings(site: Site, settings: str, message: str) -> None:
    (site.data / "wrong.py").write_text(f"from conf.settings import *\n{settings}\n")
    ended = site.python(
        "-m",
        "postroom",
        "queues",
        "--app",
        "django",
        env={"DJANGO_SETTINGS_MODULE": "wrong", "PYTHONPATH": str(site.data)},
    )
    assert ended.returncode == 1
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({}, "DJANGO_SETTINGS_MODULE is not set"),
        ({"DJANGO_SETTINGS_MODULE": "conf.setings"}, "'conf.setings', and there is no module 'conf.setings'"),
        ({"DJANGO_SETTINGS_MODULE": "konf.settings"}, "'konf.settings', and there is no module 'konf'"),
    ],
)
def test_no_settings(site: Site, env: dict[str, str], message: str) -> None:
    ended = site.python("-m", "postroom", "queues", "--app", "django", env=env)
    assert ended.returncode == 1
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_relative_paths_start_at_base_dir_or_beside_the_settings_package(site: Site) -> None:
    (site.data / "package").mkdir()
    settings = site.data / "package" / "conf_without.py"
    settings.write_text("from conf.settings import *\ndel BASE_DIR\n")
    code = (
        "import django; django.setup()\n"
        "from postroom.settings import settings\n"
        "print(settings().broker, settings().publish_timeout)"
    )
    with_base = site.python("-c", code, env={"DJANGO_SETTINGS_MODULE": "conf.settings"})
    assert with_base.stdout == f"sqlite:///{site.data}/postroom.db 10.0\n"
    without = site.python(
        "-c", code, env={"DJANGO_SETTINGS_MODULE": "package.conf_without", "PYTHONPATH": f"{site.data}:{PROJECT}"}
    )
    assert without.stdout == with_base.stdout


def test_what_an_apps_queues_raise_passes_through(site: Site) -> None:
    (site.data / "broken").mkdir()
    (site.data / "broken" / "__init__.py").touch()
    (site.data / "broken" / "queues.py").write_text("import nothing_of_that_name\n")
    (site.data / "wrong.py").write_text("from conf.settings import *\nINSTALLED_APPS = [*INSTALLED_APPS, 'broken']\n")
    ended = site.python(
        "-c",
        "import django; django.setup()",
        env={"DJANGO_SETTINGS_MODULE": "wrong", "PYTHONPATH": f"{site.data}:{PROJECT}"},
    )
    assert "No module named 'nothing_of_that_name'" in ended.stderr


def test_deploy(migrated: Site) -> None:
    printed = configparser.RawConfigParser()
    printed.read_string(migrated.manage("postroom", "deploy", "supervisor"))
    program = printed["program:postroom-invites"]
    command, folder = shlex.split(program["command"]), Path(program["directory"])
    assert command == [sys.executable, str(PROJECT / "manage.py"), "process_queue", "--queue=invites"]
    assert folder == migrated.data
    assert program["environment"].startswith('DJANGO_SETTINGS_MODULE="conf.settings"')
    migrated.manage("postroom", "publish", "invites", '{"email": "a@x"}')
    with migrated.running(*command, cwd=folder):
        wait_until(lambda: migrated.guests() == [("a@x", False)])
    assert f"ReadWritePaths=-{migrated.data}\n" in migrated.manage("postroom", "deploy", "systemd")
    assert f"{PROJECT / 'manage.py'} postroom check queues" in migrated.manage("postroom", "deploy", "cron")
