"""Everything that an application needs to run, kept running until the end."""

import asyncio
import sys

from postroom.errors import DeclarationError
from postroom.settings import PROCESSORS

from .ask import ask
from .output import Output
from .supervisor import Program, Supervisor, python
from .tell import Told
from .watch import watch


async def run(app: str, grace: float, reload: bool, as_json: bool) -> int:
    """Runs the application's processors and programs until a signal says stop. Returns the exit status: 0.

    Raises DeclarationError for an application that cannot be imported, unless it is to be loaded anew when mended.
    """
    told = await ask(app)
    while told.mistake:
        if not reload:
            raise DeclarationError(told.mistake)
        print(f"{told.mistake}\nwaiting for a file to be saved", file=sys.stderr, flush=True)
        await _next_save(told.folders)
        told = await ask(app)
    programs = _programs(app, told, grace, as_json)
    supervisor = Supervisor(programs, grace, Output([program.name for program in programs], as_json))
    if not reload:
        return await supervisor.run()
    end = asyncio.Event()
    watching = asyncio.ensure_future(watch(told.folders, lambda _: supervisor.reload(), end))
    try:
        return await supervisor.run()
    finally:
        end.set()
        await watching


def _programs(app: str, told: Told, grace: float, as_json: bool) -> list[Program]:
    words = ["-m", "postroom", "process_queue", "--all", "--each", "--app", app, "--grace", f"{grace:g}"]
    processors = Program(PROCESSORS, python(*words, *(["--json"] if as_json else [])), reloads=True)
    others = [Program(name, _with_this_python(command)) for name, command in told.programs.items()]
    if not told.workers and not others:
        raise DeclarationError("there is nothing to run: no queue has a worker, and the setting programs names none")
    return [processors, *others] if told.workers else others


def _with_this_python(command: list[str]) -> list[str]:
    """``python`` in a setting means the one that runs this, whatever is first in the PATH."""
    return [*python(), *command[1:]] if command[0] == "python" else command


async def _next_save(folders: list[str]) -> None:
    saved = asyncio.Event()
    await watch(folders, lambda _: saved.set(), saved)
