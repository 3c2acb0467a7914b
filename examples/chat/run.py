"""Starts the whole chat: `manage.py postroom run`, with what it needs made first. `make run` calls this.

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
STARTUP = 30.0  # seconds that the web server has to answer

_stop_asked = False


class Failed(Exception):
    """The chat cannot start or go on; the text says why."""


class Stopped(Exception):
    """Somebody asked to stop."""


def _end_with_parent() -> None:
    # In the child before its program begins: when this process is killed, the child gets a SIGTERM and ends the rest.
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def main() -> int:
    """Returns the exit status: 0 when it was asked to stop, 1 when something failed."""
    options = _options()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _ask_to_stop)
    try:
        with _run_folder(options.keep) as folder:
            chat = _start(folder, options)
            try:
                _wait_for_web(chat, os.environ["CHAT_URL"])
                print(_welcome(folder), flush=True)
                for _ in _moments(chat, seconds=math.inf):
                    pass
            finally:
                chat.terminate()
                chat.wait()
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


def _start(folder: Path, options: argparse.Namespace) -> "subprocess.Popen[bytes]":
    """`postroom run`, in a process group of its own: Ctrl-C reaches it by way of this process alone."""
    os.environ.update(
        DJANGO_SETTINGS_MODULE="chat.settings",
        CHAT_DIR=str(folder),
        CHAT_URL=f"http://127.0.0.1:{_web_port(options.port)}/",
        CHAT_SMTP_PORT=str(_free_port(0)),
        CHAT_SMTP_DELAY=str(options.smtp_delay),
    )
    if options.broker:
        os.environ["POSTROOM_BROKER"] = options.broker
    if options.secrets:
        os.environ["POSTROOM_SECRETS"] = str(Path(options.secrets).resolve())
    _prepare(folder)
    return subprocess.Popen(
        [sys.executable, "manage.py", "postroom", "run", "--reload"],
        cwd=HERE,
        stdin=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )


WELCOME = """
  The chat is at {url}
  Sign in as {email} with the password {password}

  Try: invite hundreds of people at once, and watch their mails go out under People.
       Read the mails, and follow their links, at {url}mailbox/
       An address that begins with "bounce" is refused; "busy" has to be tried again.
       Each page view is counted at {url}activity/
       Change a worker, {workers} for example, and save: it is running a moment later.
       The queues: CHAT_DIR={folder} {python} {manage} postroom queues

  This run is in {folder}. Ctrl-C stops everything.
"""


def _welcome(folder: Path) -> str:
    from teams.management.commands.seed_demo import EMAIL, PASSWORD

    return WELCOME.format(
        url=os.environ["CHAT_URL"],
        email=EMAIL,
        password=PASSWORD,
        folder=folder,
        python=_short(Path(sys.executable)),
        manage=_short(HERE / "manage.py"),
        workers=_short(HERE / "teams" / "workers.py"),
    )


def _short(path: Path) -> Path:
    """From the current folder, where it is beneath that."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _web_port(wanted: int | None) -> int:
    """The wanted port if it is free; without a wish 8000, or any free one."""
    for port in (wanted,) if wanted is not None else (8000, 0):
        try:
            return _free_port(port)
        except OSError:
            continue
    raise Failed(f"port {wanted} is taken; name another with --port")


def _free_port(port: int) -> int:
    """The port if it is free, or for 0 any that is. Raises OSError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return int(probe.getsockname()[1])


def _prepare(folder: Path) -> None:
    """Makes the key and the database with a team to look at."""
    key = folder / "secret_key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_text(secrets.token_urlsafe(50))
    sys.path.insert(0, str(HERE))
    import django
    from django.core.management import call_command
    from django.db import connections

    django.setup()
    from teams.models import Team

    call_command("migrate", verbosity=0)
    if not Team.objects.exists():
        call_command("seed_demo")
    connections.close_all()


def _wait_for_web(chat: "subprocess.Popen[bytes]", url: str) -> None:
    host, _, port = url.strip("/").rpartition("/")[2].partition(":")
    for _ in _moments(chat):
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            continue
        return
    raise Failed(f"the web server does not answer within {STARTUP:g} s")


def _moments(chat: "subprocess.Popen[bytes]", seconds: float = STARTUP) -> Iterator[None]:
    """Moments in which to look again, for so many seconds. Raises Stopped, and Failed when all has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if _stop_asked:
            raise Stopped
        if chat.poll() is not None:
            raise Failed(f"postroom run ended with status {chat.returncode}")
        yield
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
