"""Stops consumption of a queue everywhere, durably. Publishing goes on."""

from typing import Any

from postroom.operate import control

from .application import broker_for


def add_arguments(parser: Any) -> None:
    """The arguments of ``pause``."""
    parser.add_argument("name", metavar="Q", help="the queue")


def run(args: Any) -> int:
    """Pauses."""
    control.pause(broker_for(args), args.name)
    print(f"{args.name} is paused; to go on: postroom resume {args.name}")
    return 0
