"""Asking before something is gone for good."""

import sys

from .usage import UsageError


def sure(question: str, yes: bool) -> bool:
    """Whether to go on: ``yes`` is the flag ``--yes``. On a terminal it asks; elsewhere nobody could answer.

    Raises UsageError there."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("this deletes events for good: where no one can be asked, add --yes")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
