"""Moves a queue that RabbitMQ holds with another declaration than Postroom's into the right one, with all its events.

Publishers and workers may run: consumption is paused meanwhile. Where it was interrupted, run it again.
"""

import sys
from typing import Any

from postroom.operate import control

from .application import broker_for
from .ask import sure
from .progress import Progress
from .text import events, safe


def add_arguments(parser: Any) -> None:
    """The arguments of ``migrate``."""
    parser.add_argument("name", metavar="Q", help="the queue")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: Any) -> int:
    """Says what does not fit, asks, moves, and says how many. Exit status 1 if the answer was no."""
    broker = broker_for(args)
    why = control.misfit(broker, args.name)
    if not why:
        print(f"{args.name} is as it should be; there is nothing to migrate")
        return 0
    print(safe(why))
    question = f"Pause {args.name}, and move its events into a queue that is made anew?"
    if not sure(question, args.yes, "this makes a queue anew"):
        print("nothing was done", file=sys.stderr)
        return 1
    try:
        with Progress("events") as progress:
            moved = control.migrate(broker, args.name, lambda step: told(progress, step), progress)
    except KeyboardInterrupt:
        print(f"\nnot done, and nothing is lost; to complete it: postroom migrate {args.name}", file=sys.stderr)
        raise
    print(f"{args.name} is as it should be; {events(moved)} moved")
    return 0


def told(progress: Progress, step: str) -> None:
    """A line at once, whatever reads it."""
    progress.wipe()
    print(safe(step), flush=True)
