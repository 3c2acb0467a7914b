"""What the publisher of a request is told where its worker's ``consume`` did not return."""

from postroom.wire import headers as h
from postroom.wire.reply import Reply, of_error

from .verdict import Bury, Reschedule, Verdict


def after_failure(kind: str, error: str, verdict: Verdict) -> Reply | None:
    """The answer to a request that was not consumed; ``kind`` and ``error`` are those of ``protocol.Failed``.

    None while it will be tried again, and where nobody waits any more.
    """
    if isinstance(verdict, Reschedule) or kind == "expired":
        return None
    if kind == "failed":
        name, _, text = error.partition(": ")
        return of_error(name, text)
    if kind in ("rubbish", "newer"):
        return of_error("BadBody", error)
    return of_error(kind.capitalize(), error)


def after_burial(name: str, verdict: Verdict) -> Reply | None:
    """The answer to a request that is buried for what was not its worker's decision; None if it is not."""
    return of_error(name, h.text(verdict.headers, h.REASON)) if isinstance(verdict, Bury) else None
