"""Deletes the events that wait in a queue, or its dead letters. Events in hand stay."""

import sys
from typing import Any

from postroom.operate import control

from .application import broker_for
from .ask import sure
from .text import events


def add_arguments(parser: Any) -> None:
    """The arguments of ``purge_queue``."""
    parser.add_argument("name", metavar="Q", help="the queue")
    parser.add_argument("--dead", action="store_true", help="delete its dead letters instead")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: Any) -> int:
    """Asks, purges, and says how many. Exit status 1 if the answer was no."""
    broker = broker_for(args)
    noun = "dead letter" if args.dead else "event"
    there = control.waiting(broker, args.name, args.dead)
    if not sure(f"Delete {events(there, noun)} of {args.name}, for good?", args.yes):
        print("nothing was deleted", file=sys.stderr)
        return 1
    gone = control.purge(broker, args.name, args.dead)
    print(f"{events(gone, noun)} of {args.name} deleted")
    if not args.dead and control.delayed_will_come(broker, args.name):
        print("delayed events cannot be told apart by queue here: those of this queue will still come")
    return 0
