"""Makes the queues of the application in the broker, and all that they need, where they do not exist.

Publishers and workers do that themselves, unless their accounts may not: then this is for the account that may.
"""

from typing import Any

from postroom.operate import control

from .application import broker_for


def add_arguments(parser: Any) -> None:
    """The arguments of ``declare``."""
    parser.add_argument("names", metavar="Q", nargs="*", help="only these queues")


def run(args: Any) -> int:
    """Declares, and names each queue."""
    for name in control.declare(broker_for(args), args.names):
        print(f"{name} is declared", flush=True)
    return 0
