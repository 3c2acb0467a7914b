"""Starts the whole chat: a mail catcher, the processors of all queues and the web server. `make run` calls this.

Everything it writes is in a folder of its own, which is removed at the end unless --keep names one.
"""

import argparse
import ctypes
import math
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
GRACE = 12.0  # seconds that a child has to end before it is killed
STARTUP = 30.0  # seconds that a child has to answer

_stop_asked = False


class Failed(Exception):
    """The chat cannot start or go on; the text says why."""


class Stopped(Exception):
    """Somebody asked to stop."""


class Child:
    """A program of ours, in a process group of its own: Ctrl-C reaches it by way of `stop` alone."""

    def __init__(self, name: str, command: list[str], log: Path | None = None) -> None:
        self.name = name
        self.log = log
        output = log.open("w") if log else None
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=HERE,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            process_group=0,
            preexec_fn=_end_with_parent if _prctl else None,
        )
        if output:
            output.close()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self) -> None:
        """Asks it to end, and kills it when it does not."""
        self.process.terminate()
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            print(f"{self.name} does not end within {GRACE:g} s: it is killed", file=sys.stderr)
            self.process.kill()
            self.process.wait()

    def last_words(self) -> str:
        if self.log is None:
            return ""
        return "".join(f"\n    {line}" for line in self.log.read_text(errors="replace").splitlines()[-15:])


_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def _end_with_parent() -> None:
    # In the child before its program begins: when this process is killed, the child gets a SIGTERM.
    set_parent_death_signal = 1
    assert _prctl is not None
    _prctl(set_parent_death_signal, signal.SIGTERM)


def main() -> int:
    """Returns the exit status: 0 when it was asked to stop, 1 when something failed."""
    options = _options()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _ask_to_stop)
    children: list[Child] = []
    try:
        with _run_folder(options.keep) as folder:
            try:
                _start(folder, options, children)
                for _ in _moments(*children, seconds=math.inf):
                    pass
            finally:
                for child in reversed(children):
                    child.stop()
    except Failed as failure:
        print(f"chat: {failure}", file=sys.stderr)
        return 1
    except Stopped:
        print("\nstopped", flush=True)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="the example chat, with all it needs")
    parser.add_argument(
        "--broker", metavar="URL", help="sqlite:///FILE or amqp://user@host/vhost; default: a file of this run"
    )
    parser.add_argument("--secrets", metavar="FILE", help="the file with the broker's password")
    parser.add_argument("--port", type=int, help="of the web server; default: 8000, or a free one if that is taken")
    parser.add_argument(
        "--smtp-delay", type=float, default=0.0, metavar="SECONDS", help="how long a mail takes the mail server"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="the run folder, kept at the end and used again")
    return parser.parse_args()


def _ask_to_stop(number: int, frame: object) -> None:
    global _stop_asked
    _stop_asked = True


@contextmanager
def _run_folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="chat-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, options: argparse.Namespace, children: list[Child]) -> None:
    port = _web_port(options.port)
    url = f"http://127.0.0.1:{port}/"
    os.environ.update(DJANGO_SETTINGS_MODULE="chat.settings", CHAT_DIR=str(folder), CHAT_URL=url)
    if options.broker:
        os.environ["POSTROOM_BROKER"] = options.broker
    if options.secrets:
        os.environ["POSTROOM_SECRETS"] = str(Path(options.secrets).resolve())
    login = _prepare(folder)

    catcher_log = folder / "catcher.log"
    delay = ["--delay", str(options.smtp_delay)]
    children.append(Child("the mail catcher", ["-m", "mail.catcher", str(folder / "mails.db"), *delay], catcher_log))
    os.environ["CHAT_SMTP_PORT"] = _first_line(children[-1])
    children.append(Child("the processors", ["manage.py", "process_queue", "--all"]))
    command = ["manage.py", "runserver", "--noreload", "--skip-checks", f"127.0.0.1:{port}"]
    children.append(Child("the web server", command, folder / "web.log"))
    _wait_for_web(children, port)
    python, manage = _short(Path(sys.executable)), _short(HERE / "manage.py")
    print(WELCOME.format(url=url, login=login, folder=folder, python=python, manage=manage), flush=True)


WELCOME = """
  The chat is at {url}
  Sign in as {login}

  Try: invite hundreds of people at once, and watch their mails go out under People.
       Read the mails, and follow their links, at {url}mailbox/
       An address that begins with "bounce" is refused; "busy" has to be tried again.
       Each page view is counted at {url}activity/
       The queues: CHAT_DIR={folder} {python} {manage} postroom queues

  This run is in {folder}. Ctrl-C stops everything.
"""


def _short(path: Path) -> Path:
    """From the current folder, where it is beneath that."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _web_port(wanted: int | None) -> int:
    """The wanted port if it is free; without a wish 8000, or any free one."""
    for port in (wanted,) if wanted is not None else (8000, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Failed(f"port {wanted} is taken; name another with --port")


def _prepare(folder: Path) -> str:
    """Makes the key and the database with a team to look at; returns the login."""
    key = folder / "secret_key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_text(secrets.token_urlsafe(50))
    sys.path.insert(0, str(HERE))
    import django
    from django.core.management import call_command
    from django.db import connections

    django.setup()
    from teams.management.commands.seed_demo import EMAIL, PASSWORD
    from teams.models import Team

    call_command("migrate", verbosity=0)
    if not Team.objects.exists():
        call_command("seed_demo")
    connections.close_all()
    return f"{EMAIL} with the password {PASSWORD}"


def _first_line(child: Child) -> str:
    assert child.log is not None
    for _ in _moments(child):
        line, newline, _ = child.log.read_text().partition("\n")
        if newline:
            return line
    raise Failed(f"{child.name} does not answer within {STARTUP:g} s{child.last_words()}")


def _wait_for_web(children: list[Child], port: int) -> None:
    for _ in _moments(*children):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            continue
        return
    raise Failed(f"the web server does not answer within {STARTUP:g} s{children[-1].last_words()}")


def _moments(*children: Child, seconds: float = STARTUP) -> Iterator[None]:
    """Moments in which to look again, for so many seconds. Raises Stopped, and Failed when a child ends."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if _stop_asked:
            raise Stopped
        for child in children:
            if child.ended:
                status = child.process.returncode
                raise Failed(f"{child.name} ended with status {status}; all is stopped{child.last_words()}")
        yield
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
