"""Shows the events that wait in a queue, oldest first, without consuming them."""

import time
from typing import Any

from postroom.operate import control
from postroom.wire.event import event_of
from postroom.wire.message import Message

from .application import broker_for
from .numbers import positive
from .table import table
from .text import json_line, payload_fields, payload_in_a_line, safe, span


def add_arguments(parser: Any) -> None:
    """The arguments of ``peek``."""
    parser.add_argument("name", metavar="Q", help="the queue")
    parser.add_argument("-n", metavar="N", type=positive, default=10, help="how many; %(default)s by default")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each event, whole")


def run(args: Any) -> int:
    """Prints a line an event."""
    messages = control.peek(broker_for(args), args.name, args.n)
    if args.json:
        for message in messages:
            print(json_line(_fields(args.name, message)))
    elif messages:
        rows = [_row(args.name, message) for message in messages]
        print(table(("ID", "AGE", "ATTEMPT", "PAYLOAD"), rows, right=(1, 2), fit=True))
    else:
        print(f"no event waits in {args.name}")
    return 0


def _fields(queue: str, message: Message) -> dict[str, Any]:
    event = event_of(queue, message)
    return {
        "id": event.id,
        "queue": queue,
        "attempt": event.attempt,
        "published": event.published,
        "headers": message.headers,
        **payload_fields(message),
    }


def _row(queue: str, message: Message) -> list[str]:
    event = event_of(queue, message)
    age = span(max(0.0, time.time() - event.published))
    return [safe(event.id), age, str(event.attempt), payload_in_a_line(message.body)]
