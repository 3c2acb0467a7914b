"""Runs the processors and the other programs that the settings name, restarts what ends, and stops all together."""

import os
from typing import Any

from .application import application_for
from .numbers import seconds


def add_arguments(parser: Any) -> None:
    """The arguments of ``run``."""
    parser.add_argument(
        "--reload", action="store_true", help="load the code anew when a file is saved, new queues too (watchfiles)"
    )
    parser.add_argument("--json", action="store_true", help="a JSON object a line, for machines")
    parser.add_argument(
        "--grace",
        metavar="SECONDS",
        type=seconds,
        default=8.0,
        help="what events in hand get to finish at a stop; %(default)g by default",
    )


def run(args: Any) -> int:
    """Runs them until SIGTERM or Ctrl-C."""
    app, _ = application_for(args)
    if args.reload:
        from postroom.supervise.watch import check_installed

        check_installed()
    if args.broker is not None:
        os.environ["POSTROOM_BROKER"] = args.broker  # no program's arguments: they are for all to see
    import asyncio

    from postroom.supervise import together

    return asyncio.run(together.run(app, args.grace, args.reload, args.json))
