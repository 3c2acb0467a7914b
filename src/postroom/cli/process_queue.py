"""Runs processors for one or more queues until SIGTERM or Ctrl-C."""

import sys
from typing import Any

from postroom.errors import PostroomError
from postroom.settings import masked

from .application import application_for
from .numbers import address, seconds
from .text import safe


def add_arguments(parser: Any) -> None:
    """The arguments of ``process_queue``."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--queue", metavar="Q", action="append", help="a queue to process; may be given several times")
    which.add_argument("--all", action="store_true", help="every queue that has a worker")
    parser.add_argument(
        "--grace",
        metavar="SECONDS",
        type=seconds,
        default=8.0,
        help="what events in hand get to finish at a stop, or after their time limit; %(default)g by default",
    )
    parser.add_argument("--each", action="store_true", help="a line for every event, off a terminal too")
    parser.add_argument("--json", action="store_true", help="the log as a JSON object a line")
    parser.add_argument("--verbose", action="store_true", help="in the log a line for each processed event too")
    parser.add_argument(
        "--health",
        metavar="[HOST:]PORT",
        type=address,
        help="answer GET /healthz with 200, or 503 where this process does not consume what it should",
    )
    parser.add_argument(
        "--in-process",
        action="store_true",
        help="run the workers in this very process, without time limits: for debuggers and coverage",
    )


def run(args: Any) -> int:
    """Consumes until stopped. The application is imported by executors, never here, unless ``--in-process``."""
    app, current = application_for(args)
    queues = None if args.all else list(args.queue)
    flags = {} if args.broker is None else {"broker": args.broker}
    from .log import log_to_stderr

    log_to_stderr(args.json, args.verbose)
    each = args.each or sys.stdout.isatty()
    if args.in_process:
        from postroom.consume import inprocess
        from postroom.operate.application import load

        load(app)
        return inprocess.run(app, queues, flags, _tell if each else _tell_nobody)
    if current.broker.startswith("memory:"):
        raise PostroomError(
            f"{masked(current.broker)} lives inside one process, so no other can publish to it: "
            "use sqlite:///postroom.db, or --in-process"
        )
    import asyncio

    from postroom.consume.consumer import Options, consume

    return asyncio.run(consume(Options(app, queues, flags, args.grace, each, args.health)))


def _tell(line: str) -> None:
    print(safe(line), flush=True)


def _tell_nobody(line: str) -> None:
    """There is no line an event."""
