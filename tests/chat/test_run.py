"""The whole chat as `make run` starts it: a browser, a mail server, processors, and nothing left at the end."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from html import unescape
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from tests.rabbit import RabbitNode

CHAT = Path(__file__).parents[2] / "examples" / "chat"


class Browser:
    """Follows links, keeps cookies and sends forms with their tokens."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._opener = build_opener(HTTPCookieProcessor(CookieJar()))

    def get(self, page: str) -> str:
        with self._opener.open(self.url + page, timeout=20) as answer:
            return str(answer.read().decode())

    def post(self, page: str, **fields: str) -> tuple[str, float]:
        """Sends the form on the page. Returns the answer, redirects followed, and how long it took."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(page))
        assert token is not None
        body = urlencode(fields | {"csrfmiddlewaretoken": token[1]}).encode()
        start = time.monotonic()
        with self._opener.open(self.url + page, body, timeout=20) as answer:
            return str(answer.read().decode()), time.monotonic() - start


class Run:
    """`run.py`, started with its temporary folder under ``tmp``."""

    def __init__(self, tmp: Path, *options: str, until: str = "") -> None:
        """Returns when it says that it has started, or when a file named ``until``… is in ``tmp``."""
        strange = ("CHAT_", "DJANGO_", "POSTROOM_", "PYTEST_")
        env = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
        self.tmp = tmp
        with (tmp.parent / f"{tmp.name}.log").open("w") as log:
            self.log = Path(log.name)
            self.process = subprocess.Popen(
                [sys.executable, "-u", str(CHAT / "run.py"), *options],
                env=env | {"TMPDIR": str(tmp), "PYTHONDONTWRITEBYTECODE": "1"},
                cwd=tmp,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(lambda: self.process.poll() is not None or self._is_there(until))

    def _is_there(self, until: str) -> bool:
        return any(self.tmp.glob(f"{until}*")) if until else "Ctrl-C" in self.said()

    def said(self) -> str:
        return self.log.read_text()

    @property
    def url(self) -> str:
        found = re.search(r"The chat is at (\S+)", self.said())
        assert found is not None, self.said()
        return found[1]

    def processes(self) -> dict[int, str]:
        """All processes of this run, by what their environment says."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"TMPDIR={self.tmp}\0".encode() in (folder / "environ").read_bytes():
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if command:
                        found[int(folder.name)] = command
        return found


def wait_until(true: Callable[[], object], seconds: float = 30) -> None:
    """Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(*options: str, until: str = "") -> Run:
        tmp = tmp_path / "tmp"
        tmp.mkdir(exist_ok=True)
        runs.append(Run(tmp, *options, until=until))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.process.terminate()
            try:
                run.process.wait(20)
            except subprocess.TimeoutExpired:
                run.process.kill()
                run.process.wait()
        print(run.said())


@pytest.mark.skipif(sys.platform != "linux", reason="looks for what is left in /proc")
def test_from_sign_up_to_five_hundred_invitations(start: Callable[..., Run]) -> None:
    run = start("--port", str(free_port()), "--smtp-delay", "1")
    browser = Browser(run.url)

    def link_in_mail_to(address: str) -> str:
        wait_until(lambda: 'href="/mailbox/' in browser.get(f"/mailbox/?to={address}").partition('class="mails"')[2])
        number = re.search(r'class="mails".*?href="(/mailbox/\d+/)"', browser.get(f"/mailbox/?to={address}"), re.S)
        assert number is not None
        link = re.search(r'href="(http://127[^"]+)"', browser.get(number[1]))
        assert link is not None
        return unescape(link[1]).removeprefix(run.url.rstrip("/"))

    page, _ = browser.post("/sign-up/", name="Bob", email="bob@example.com", password="difference engine")
    assert "Look into your mail" in page
    page, _ = browser.post(link_in_mail_to("bob@example.com"), password="difference engine")
    assert "Start a team" in page
    page, _ = browser.post("/teams/new/", name="Engine builders")
    assert "Nothing said yet" in page
    page, _ = browser.post("/t/engine-builders/c/general/", text="hello <everybody>")
    assert "hello &lt;everybody&gt;" in page

    guests = "\n".join(f"guest{number}@example.com" for number in range(500))
    page, took = browser.post("/t/engine-builders/invite/", addresses=guests)
    assert "500 invitations on the way" in page
    assert took < 0.5
    invited = link_in_mail_to("guest0@")
    guest = Browser(run.url)
    page, _ = guest.post(invited, name="Guest", password="analytical engine")
    assert "hello &lt;everybody&gt;" in page
    wait_until(lambda: re.search(r"<dt>Sent</dt><dd>[1-9]", browser.get("/t/engine-builders/people/")))
    assert re.search(r"<dt>Waiting</dt><dd>4\d\d<", browser.get("/t/engine-builders/people/"))
    wait_until(lambda: "<rect" in browser.get("/activity/"))

    started = run.processes()
    assert len(started) >= 5, started
    os.kill(run.process.pid, signal.SIGINT)
    assert run.process.wait(20) == 0, run.said()
    assert run.processes() == {}
    assert list(run.tmp.iterdir()) == []


@pytest.mark.rabbitmq
def test_on_rabbitmq(start: Callable[..., Run], rabbit_node: RabbitNode) -> None:
    run = start("--port", str(free_port()), "--broker", rabbit_node.url)
    browser = Browser(run.url)
    browser.post("/sign-in/", username="demo@example.com", password="let-me-in-please")
    page, _ = browser.post("/t/babbage/invite/", addresses="guest@example.com bounce@example.com")
    assert "2 invitations on the way" in page
    wait_until(lambda: "2 of 2 done" in browser.get("/t/babbage/people/"))
    assert "guest@example.com" in browser.get("/mailbox/")
    wait_until(lambda: "<rect" in browser.get("/activity/"))
    run.process.terminate()
    assert run.process.wait(20) == 0, run.said()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for what is left in /proc")
def test_a_part_that_dies_is_started_again_and_mails_go_out(start: Callable[..., Run]) -> None:
    run = start("--port", str(free_port()))
    for part in ("mail.catcher", "process_queue"):
        os.kill(next(pid for pid, command in run.processes().items() if part in command), signal.SIGKILL)
    wait_until(lambda: run.said().count("was killed by SIGKILL") == 2)
    browser = Browser(run.url)
    browser.post("/sign-in/", username="demo@example.com", password="let-me-in-please")
    browser.post("/t/babbage/invite/", addresses="guest@example.com")
    wait_until(lambda: "guest@example.com" in browser.get("/mailbox/"), 40)
    run.process.terminate()
    assert run.process.wait(20) == 0
    assert run.processes() == {}
    assert list(run.tmp.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="by the parent's death signal")
def test_when_it_is_killed_the_parts_end_too(start: Callable[..., Run]) -> None:
    run = start("--port", str(free_port()))
    run.process.kill()
    wait_until(lambda: run.processes() == {}, 20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_can_be_stopped_while_it_starts(start: Callable[..., Run], number: int) -> None:
    run = start("--port", str(free_port()), until="chat-")
    run.process.send_signal(number)
    assert run.process.wait(20) == 0, run.said()
    assert list(run.tmp.iterdir()) == []


def test_a_port_that_is_taken(start: Callable[..., Run]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        run = start("--port", port)
        assert run.process.wait(20) == 1
    assert run.said() == f"chat: port {port} is taken; name another with --port\n"
    assert list(run.tmp.iterdir()) == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
