"""``postroom VERB``: finds the verb's module, parses its arguments, runs it, and turns errors into one line.

A verb is a module ``postroom.cli.VERB`` with ``add_arguments(parser)`` and ``run(args) -> int``, the exit status.
It is imported when it is chosen: commands start often.
"""

import importlib
import os
import signal
import sys
from types import ModuleType
from typing import Any

from postroom.errors import PostroomError, did_you_mean

from .usage import UsageError

VERBS = {
    "process_queue": "run processors until SIGTERM",
    "run": "run processors and the other programs of the settings together",
    "publish": "publish one event, or JSON lines from standard input",
    "purge_queue": "delete the events that wait in a queue, or its dead letters",
    "queues": "a line a queue: ready, in hand, consumers, delayed, dead, oldest",
    "peek": "show events without consuming them",
    "dead": "the dead letters: list, show, requeue, drop",
    "pause": "stop consumption of a queue everywhere, durably",
    "resume": "end a pause",
    "declare": "make the queues in the broker, for accounts that may not do it themselves",
    "migrate": "move a queue that is declared otherwise in RabbitMQ into the right one",
    "deploy": "print the files for production: supervisor, systemd, cron, nagios",
    "check": "a Nagios plugin: consumers, time to clear, workers that consume",
    "doctor": "say what is wrong with this set-up, and how to mend it",
}

BROKEN_PIPE = 128 + signal.SIGPIPE
INTERRUPTED = 128 + signal.SIGINT


def main(argv: list[str] | None = None) -> int:
    """Runs the command ``argv`` (by default the process's own) and returns its exit status.

    0: done. 1: failed, one line on stderr says what and what to do. 2: wrong usage. 130: interrupted.
    """
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if words else 2
    if words[0] in ("-V", "--version", "version"):
        return _print_version()
    name = words[0].replace("-", "_")
    if name not in VERBS:
        return _complain(f"there is no command {words[0]!r}{did_you_mean(name, list(VERBS))}", 2)
    verb = verb_module(name)
    import argparse

    parser = argparse.ArgumentParser(f"postroom {name}", description=verb.__doc__, allow_abbrev=False)
    add_common_arguments(parser)
    verb.add_arguments(parser)
    try:
        args = parser.parse_intermixed_args(words[1:])
    except SystemExit as parsed:
        return int(parsed.code or 0)
    return run_verb(verb, args)


def verb_module(name: str) -> ModuleType:
    """The module of the verb: one of ``VERBS``."""
    return importlib.import_module(f"postroom.cli.{name}")


def add_common_arguments(parser: Any) -> None:
    """What every verb takes. In Django the application is known, so its command adds ``--broker`` alone."""
    parser.add_argument(
        "--app",
        metavar="MODULE",
        help="the application: what to import for its queues, workers and settings (or POSTROOM_APP)",
    )
    add_broker_argument(parser)


def add_broker_argument(parser: Any) -> None:
    """``--broker URL``."""
    parser.add_argument(
        "--broker", metavar="URL", help="the broker, before POSTROOM_BROKER and the application's settings"
    )


def run_verb(verb: ModuleType, args: Any) -> int:
    """Runs a verb and returns its exit status. ``args.app`` is ``"django"`` in a Django project.

    Errors of Postroom's own become one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal or pipe that cannot show a character gets its escape, not a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = int(verb.run(args))
        sys.stdout.flush()
    except PostroomError as error:
        return _complain(str(error), 1)
    except UsageError as error:
        return _complain(str(error), 2)
    except BrokenPipeError:
        # Whoever read our output has seen enough. What is buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _help() -> str:
    lines = ["usage: postroom VERB [--app MODULE] [--broker URL] …", "", "Queues for a web application's work.", ""]
    lines += [f"  {name:15}{help}" for name, help in VERBS.items()]
    lines += ["", "postroom VERB --help tells more; postroom --version, which this is."]
    return "\n".join(lines)


def _print_version() -> int:
    from postroom import __version__

    print(f"postroom {__version__}")
    return 0


def _complain(sentence: str, status: int) -> int:
    from .text import safe_lines

    print(f"postroom: {safe_lines(sentence)}", file=sys.stderr)
    return status
