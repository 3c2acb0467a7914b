"""Keeps programs running, and ends them together."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from typing import Final

from msgspec import Struct

from postroom.policy.restart import SOUND_SECONDS, restart_delay

from .guard import Guard
from .output import LONGEST_LINE, Output

KILL_AFTER: Final = 5.0  # seconds beyond the grace, in which a consumer says goodbye to its broker
MANY: Final = 5  # quick ends in a row that are a crash loop


class Program(Struct, frozen=True):
    """One program: what it is called, how it is started, and whether SIGHUP makes it load its code anew."""

    name: str
    command: list[str]
    reloads: bool = False


class Supervisor:
    """``grace``: seconds that programs get at the end, before they are killed."""

    def __init__(self, programs: list[Program], grace: float, output: Output) -> None:
        self._programs = programs
        self._grace = grace
        self._output = output
        self._guard = Guard(grace + KILL_AFTER)
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._stop_asked = asyncio.Event()
        self._changed = asyncio.Event()

    async def run(self) -> int:
        """Runs them until a signal says stop. Returns the exit status: 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._ask_to_stop)
        loop.add_signal_handler(signal.SIGQUIT, self._stop_at_once)
        try:
            await asyncio.gather(*(self._keep(program) for program in self._programs))
        finally:
            self._guard.close()
        return 0

    def reload(self) -> None:
        """The code has changed: who can loads it anew, and who waits for another attempt gets it now."""
        for program in self._programs:
            process = self._running.get(program.name)
            if program.reloads and process is not None:
                process.send_signal(signal.SIGHUP)
        self._changed.set()
        self._changed.clear()

    def _ask_to_stop(self) -> None:
        if self._stop_asked.is_set():
            self._stop_at_once()
        self._stop_asked.set()
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()

    def _stop_at_once(self) -> None:
        self._stop_asked.set()
        for process in self._running.values():
            _kill_group(process.pid)

    async def _keep(self, program: Program) -> None:
        failures = 0
        while not self._stop_asked.is_set():
            started = time.monotonic()
            how = await self._live(program)
            if self._stop_asked.is_set():
                return
            lasted = time.monotonic() - started
            failures = failures + 1 if lasted < SOUND_SECONDS else 1
            delay = restart_delay(failures - 1, random.random())
            told = f"{how} after {lasted:.1f} s; it is started again in {delay:.1f} s"
            if failures % MANY == 0:
                told += (
                    f"\nit has not lasted {SOUND_SECONDS:.0f} s in {failures} attempts; what it printed says why."
                    f" Its command is {' '.join(program.command)}"
                )
            self._output.tell(program.name, told)
            await self._pause(delay)

    async def _live(self, program: Program) -> str:
        """One life of a program, from its start to its end. Returns how it ended."""
        try:
            process = await asyncio.create_subprocess_exec(
                *program.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
                limit=LONGEST_LINE,
            )
        except OSError as error:
            return f"cannot be started ({error})"
        self._guard.watch(process.pid)
        self._running[program.name] = process
        if self._stop_asked.is_set():
            process.terminate()
        pumping = asyncio.ensure_future(self._pump(program, process))
        await self._end(process)
        _kill_group(process.pid)  # what it left behind
        self._guard.forget(process.pid)
        del self._running[program.name]
        await asyncio.wait([pumping], timeout=1.0)  # one that it started and that left its group may hold the pipe
        pumping.cancel()
        status = process.returncode or 0
        return f"ended with status {status}" if status >= 0 else f"was killed by {signal.Signals(-status).name}"

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Until it has ended: by itself, or, when it was told to stop, at last by force."""
        ended = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(self._stop_asked.wait())
        both: set[asyncio.Future[object]] = {ended, stopping}  # type: ignore[arg-type]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ended.done():
            await asyncio.wait([ended], timeout=self._grace + KILL_AFTER)
            _kill_group(process.pid)
        await ended

    async def _pump(self, program: Program, process: asyncio.subprocess.Process) -> None:
        reader = process.stdout
        assert reader is not None
        while True:
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as error:
                line = await reader.readexactly(error.consumed)
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    self._output.line(program.name, error.partial.rstrip(b"\r\n"))
                return
            self._output.line(program.name, line.rstrip(b"\r\n"))

    async def _pause(self, seconds: float) -> None:
        """So long, or until the code has changed, or until the end."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._stop_asked, self._changed)]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


def _kill_group(pid: int) -> None:
    # macOS says EPERM of a group whose last process is not reaped yet.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def python(*words: str) -> list[str]:
    """A command that starts this Python with this process's flags."""
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [sys.executable, *flags, *words]
