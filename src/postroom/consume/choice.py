"""Which of the application's queues a consumer serves."""

from typing import Final

from postroom.errors import DeclarationError, UnknownQueue, did_you_mean
from postroom.execute.protocol import QueueDeclaration

NAMED: Final = 3


def chosen(declared: list[QueueDeclaration], names: list[str] | None) -> list[QueueDeclaration]:
    """The queues of these names, each once; None: all. Raises DeclarationError where there is none at all, and
    UnknownQueue for a name that has no worker."""
    known = {queue.name: queue for queue in declared}
    if not known:
        raise DeclarationError("no queue has a worker in this application: assign one with @assign_queue")
    for name in names or ():
        if name not in known:
            raise UnknownQueue(f"no worker is assigned to a queue {name!r}{did_you_mean(name, list(known))}")
    return [known[name] for name in dict.fromkeys(names or known)]


def in_short(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
