"""Who is to blame when an executor dies."""

from collections.abc import Sequence

from msgspec import Struct


class Blame(Struct, frozen=True):
    """``guilty``: this one killed it, and is counted. ``groups``: each runs again in an executor where nothing
    else is in hand; nothing is counted."""

    guilty: list[int]
    groups: list[list[int]]


def blame(in_hand: Sequence[Sequence[int]], overdue: Sequence[int]) -> Blame:
    """Divides what was in hand when an executor died.

    ``in_hand``: the numbers of the events in each busy slot: one, or a batch. ``overdue``: if the executor was
    killed for its hard time limit, the events of the slots that were over it; the others are innocent then.

    One event alone is guilty. Several events in hand hide which of them it was: each runs again alone, and a
    batch in halves, until a death names one.
    """
    if overdue:
        over = set(overdue)
        in_hand = [slot for slot in in_hand if over.intersection(slot)]
    if len(in_hand) == 1 and len(in_hand[0]) == 1:
        return Blame(list(in_hand[0]), [])
    if len(in_hand) > 1 and overdue and all(len(slot) == 1 for slot in in_hand):
        return Blame([slot[0] for slot in in_hand], [])
    return Blame([], [group for slot in in_hand for group in (halves(slot) if len(in_hand) == 1 else [list(slot)])])


def halves(group: Sequence[int]) -> list[list[int]]:
    """A group in two, in order; a single one stays."""
    if len(group) < 2:
        return [list(group)]
    middle = len(group) // 2
    return [list(group[:middle]), list(group[middle:])]


def how_it_ended(status: int) -> str:
    """The end of a sentence on a process, from its ``waitstatus_to_exitcode``."""
    import signal

    if status >= 0:
        return f"exited with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    return f"was killed by signal {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
