"""Ends a pause of a queue, everywhere."""

from typing import Any

from postroom.operate import control

from .application import broker_for


def add_arguments(parser: Any) -> None:
    """The arguments of ``resume``."""
    parser.add_argument("name", metavar="Q", help="the queue")


def run(args: Any) -> int:
    """Resumes."""
    control.resume(broker_for(args), args.name)
    print(f"{args.name} is resumed")
    return 0
