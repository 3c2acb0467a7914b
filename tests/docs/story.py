"""Doing what a page says: its files are written, its commands run, and what they print is compared.

- ``python`` whose first line is ``# path.py``: a file, written into the page's folder; ``# path.py, at its end``
  adds to one that is there. Any other ``python`` is a snippet: all snippets of a page are run together at its end.
- ``console``: after ``$`` a command; what follows is what it prints, ``…`` standing for anything. ``export`` and
  ``cd`` last. ``process_queue`` goes on in the background, in a terminal of its own. A block that does not begin
  with ``$`` is what it prints next; ``^C`` interrupts it.
"""

import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from .pages import Block

PATIENCE = 30.0
_FILE = re.compile(r"# ([\w./-]+\.py)(, at its end)?\n")
_LOOKS = ("cat ", "postroom queues", "postroom dead list", "python manage.py postroom queues")
"""Commands that only look: they are repeated until what was done in the background shows."""


class Story:
    """One page, done in ``folder``."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self._home = self._folder = folder
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("POSTROOM", "DJANGO"))}
        here = str(Path(sys.executable).parent)
        self._environment = {
            **inherited,
            "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": ".",
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        }
        self._snippets: list[str] = []
        self._background: Background | None = None

    def tell(self, blocks: list[Block]) -> None:
        """Does all of them. Fails with the line of the block that does not do what it says."""
        try:
            for block in blocks:
                try:
                    self._do(block)
                except AssertionError as error:
                    raise AssertionError(f"the block at line {block.line}: {error}") from error
            self._run_snippets()
        finally:
            if self._background is not None:
                self._background.end()

    def _do(self, block: Block) -> None:
        if not block.run:
            return
        if block.language == "python":
            named = _FILE.match(block.text)
            if named is None:
                self._snippets.append(block.text)
            else:
                self._write(named[1], block.text, bool(named[2]))
        elif block.language == "console":
            self._console(block.text)

    def _write(self, path: str, text: str, at_end: bool) -> None:
        file = self._folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a" if at_end else "w", encoding="utf-8") as written:
            written.write(text)

    def _console(self, text: str) -> None:
        before, *steps = re.split(r"^\$ ", text, flags=re.MULTILINE)
        if before:
            self._from_background(before)
        for step in steps:
            command, _, expected = step.partition("\n")
            if command.startswith("export "):
                key, _, value = command.removeprefix("export ").partition("=")
                self._environment[key] = value
            elif command.startswith("cd "):
                self._folder = (self._folder / command.removeprefix("cd ")).resolve()
            elif " process_queue" in command:
                assert self._background is None or self._background.ended, "process_queue runs already"
                self._background = Background(command, self._folder, self._environment)
                if expected:
                    self._from_background(expected)
            else:
                self._command(command, expected)

    def _command(self, command: str, expected: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
            )
            right = not expected or re.fullmatch(pattern(expected), told(done.stdout)) is not None
            if right or not command.startswith(_LOOKS) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert done.returncode == 0, f"`{command}` ended with {done.returncode}:\n{done.stdout}"
        assert right, f"`{command}` printed\n{done.stdout}\nand not\n{expected}"

    def _from_background(self, expected: str) -> None:
        assert self._background is not None, f"nothing runs that could print {expected!r}"
        self._background.expect(expected)

    def _run_snippets(self) -> None:
        if not self._snippets:
            return
        (self._home / "snippets.py").write_text("\n".join(self._snippets), "utf-8")
        environment = {"POSTROOM_BROKER": "memory://", **self._environment}
        done = subprocess.run(
            [sys.executable, "snippets.py"],
            cwd=self._home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"the page's snippets, run together:\n{done.stdout}{done.stderr}"


class Background:
    """``process_queue`` on a terminal of its own."""

    def __init__(self, command: str, folder: Path, environment: dict[str, str]) -> None:
        ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=folder,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._terminal = ours
        self._printed = ""
        self._seen = 0
        self._more = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def ended(self) -> bool:
        """It runs no more."""
        return self._process.poll() is not None

    def expect(self, expected: str) -> None:
        """Waits until it has printed this; ``^C`` in a line interrupts it, and it ends with status 0."""
        text, interrupt, _ = expected.partition("^C")
        if text.strip():
            self._await(re.compile(pattern(text), re.MULTILINE), text)
        if interrupt:
            os.killpg(self._process.pid, signal.SIGINT)
            status = self._process.wait(PATIENCE)
            assert status == 0, f"process_queue ended with {status}:\n{self._printed}"

    def end(self) -> None:
        """SIGTERM, if it has not ended by itself; in order, it ends with status 0."""
        if not self.ended:
            self._process.terminate()
            try:
                assert self._process.wait(PATIENCE) == 0, self._printed
            except subprocess.TimeoutExpired:
                self._process.kill()
                raise

    def _await(self, wanted: re.Pattern[str], text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        with self._more:
            while (found := wanted.search(told(self._printed), self._seen)) is None:
                left = deadline - time.monotonic()
                assert left > 0, f"process_queue printed\n{self._printed[self._seen :]}\nand not\n{text}"
                self._more.wait(min(left, 1.0))
            self._seen = found.end()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._terminal, 65536)
            except OSError:  # on Linux: the other end is closed
                data = b""
            if not data:
                os.close(self._terminal)
                return
            with self._more:
                self._printed += data.decode("utf-8", "replace").replace("\r\n", "\n")
                self._more.notify_all()


def told(printed: str) -> str:
    """What was printed, without what cannot be seen: spaces at the ends of lines."""
    return re.sub(r"[ \t]+$", "", printed, flags=re.MULTILINE).strip("\n")


def pattern(expected: str) -> str:
    """What the page says is printed, as a regular expression: ``…`` is anything within a line, or, alone in one,
    any lines; runs of spaces may differ in length, as columns do."""
    lines = []
    for line in told(expected).splitlines():
        if line.strip() == "…":
            lines.append(r"(?:.*\n)*?.*")
        else:
            lines.append(re.sub(r"(?:\\ )+", " +", re.escape(line)).replace("…", ".*?"))
    return r"\n".join(lines)
