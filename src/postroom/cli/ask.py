"""Asking before something is done that cannot be undone."""

import sys

from .usage import UsageError


def sure(question: str, yes: bool, what: str = "this deletes events for good") -> bool:
    """Whether to go on: ``yes`` is the flag ``--yes``. On a terminal it asks; elsewhere nobody could answer.
    ``what`` says why it asks.

    Raises UsageError there."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(f"{what}: where no one can be asked, add --yes")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
