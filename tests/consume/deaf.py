"""A consumer that is deaf, and one whose watchdog is in a hurry.

``python -m tests.consume.deaf LOOK_SECONDS [FAULT] process_queue …``; the fault ``thread`` breaks the thread of a
SQLite hold at its first turn.
"""

import sys

from postroom.cli.main import main
from postroom.consume import watchdog


def _break() -> None:
    from postroom.brokers.sqlite.keeper import Keeper

    def fail(_: Keeper) -> None:
        raise RuntimeError("broken by a test")

    Keeper._turn = fail  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    watchdog.EVERY = float(sys.argv[1])  # type: ignore[misc]
    rest = sys.argv[2:]
    if rest[0] == "thread":
        _break()
        rest = rest[1:]
    sys.exit(main(rest))
