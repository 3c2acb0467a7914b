"""A real supervisord in a folder of its own, for tests and soaks, that runs a printed file."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

OWN = """
[supervisord]
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
nodaemon=true
[unix_http_server]
file={folder}/socket
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/socket
[include]
files={folder}/conf.d/*.conf
"""


class Supervisord:
    """``with Supervisord(printed) as its: its.control("status")``. Its logs are in ``folder``. ``environment``: what
    its programs have besides what the file says."""

    def __init__(self, printed: str, **environment: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="postroom-sv-"))  # short: a socket lies in it
        (self.folder / "conf.d").mkdir()
        (self.folder / "own.conf").write_text(OWN.format(folder=self.folder))
        self.print_again(printed)
        # It has a Python of its own, and programs have what their file says.
        self._environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | environment
        self._process = subprocess.Popen(
            ["supervisord", "-c", str(self.folder / "own.conf")],
            env=self._environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def children(self) -> list[int]:
        """The process ids of all programs, those that start or stop too."""
        pid = self._process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def __enter__(self) -> "Supervisord":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self.folder)

    def print_again(self, printed: str) -> None:
        """Puts another file in the place of the first."""
        mine = printed.replace("/var/log/supervisor/", f"{self.folder}/")
        (self.folder / "conf.d" / "postroom.conf").write_text(mine)

    def control(self, *words: str) -> str:
        """``supervisorctl WORDS``; what it prints."""
        done = subprocess.run(
            ["supervisorctl", "-c", str(self.folder / "own.conf"), *words],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout + done.stderr

    def pids(self) -> dict[str, int]:
        """The programs that run, by name, and their process ids."""
        words = [line.split() for line in self.control("status").splitlines() if " RUNNING " in line]
        return {line[0].partition(":")[2]: int(line[3].rstrip(",")) for line in words}

    def log(self) -> str:
        """What supervisord and the programs have said."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))
