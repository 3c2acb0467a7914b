"""Shows the queues, a line each: ready, in hand, consumers, delayed, dead, age of the oldest."""

from typing import Any

from postroom.operate.listing import Listing, QueueState, listing

from .application import broker_for
from .table import table
from .text import UNKNOWN, count, events, first_line, json_line, per_second, safe, span

HEADS = ("QUEUE", "READY", "IN HAND", "CONSUMERS", "DELAYED", "DEAD", "OLDEST", "RATE", "TO CLEAR", "")


def add_arguments(parser: Any) -> None:
    """The arguments of ``queues``."""
    parser.add_argument("names", metavar="Q", nargs="*", help="only these queues")
    parser.add_argument("--json", action="store_true", help="one JSON object; times in seconds")


def run(args: Any) -> int:
    """Prints the table. Exit status 1 if the broker did not answer for a queue."""
    found = listing(broker_for(args), args.names)
    if args.json:
        print(json_line({"queues": [_fields(state) for state in found.queues], "delayed": found.delayed}))
    else:
        _print(found)
    return int(any(state.error for state in found.queues))


def _fields(state: QueueState) -> dict[str, Any]:
    figures = state.figures
    if figures is None:
        return {"queue": state.queue, "error": state.error}
    return {
        "queue": state.queue,
        "ready": figures.ready,
        "in_hand": figures.in_hand,
        "consumers": figures.consumers,
        "delayed": figures.delayed,
        "dead": figures.dead,
        "oldest": figures.oldest,
        "rate": figures.rate,
        "time_to_clear": state.clear,
        "paused": figures.paused,
    }


def _print(found: Listing) -> None:
    if not found.queues:
        print("no queues: none is declared and the broker has none")
        return
    print(table(HEADS, [_row(state) for state in found.queues], right=range(1, 9)))
    if any(state.figures is not None and state.figures.delayed is None for state in found.queues):
        print(f"{events(found.delayed)} of all queues wait for their time")


def _row(state: QueueState) -> list[str]:
    figures = state.figures
    if figures is None:
        return [safe(state.queue), *[UNKNOWN] * 8, first_line(state.error or "not made yet")]
    return [
        safe(state.queue),
        count(figures.ready),
        count(figures.in_hand),
        count(figures.consumers),
        count(figures.delayed),
        count(figures.dead),
        span(figures.oldest),
        per_second(figures.rate),
        span(state.clear),
        "PAUSED" if figures.paused else "",
    ]
