"""Publishes one event, or JSON lines from standard input, each line an event."""

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from postroom.brokers.base import WINDOW
from postroom.errors import PostroomError, PublishError, WrongPayload
from postroom.publish.publish import queue_json_publish, queue_json_publish_many
from postroom.queues import registry
from postroom.queues.queue import Queue
from postroom.wire.codec import BadBody, parse

from .application import broker_for
from .text import events
from .usage import UsageError

LONGEST_LINE = 1 << 24

Lines = list[tuple[int, bytes]]


def add_arguments(parser: Any) -> None:
    """The arguments of ``publish``."""
    parser.add_argument("name", metavar="Q", help="the queue")
    parser.add_argument("json", metavar="JSON", nargs="?", help="the payload; left out, lines are read from stdin")
    parser.add_argument("--delay", metavar="SECONDS", type=float, default=0.0, help="due in so many seconds")
    parser.add_argument("--event-id", metavar="ID", help="the event's id, to publish the same again")


def run(args: Any) -> int:
    """Publishes and prints the id, or how many there were. A bad line ends it: those before it are published."""
    broker = broker_for(args)
    declared = _declared(args.name, broker.queues())
    if args.json is not None:
        try:
            payload = parse(args.json.encode())
        except BadBody as error:
            raise PostroomError(
                f"that is not JSON: {error}. It was {args.json[:80]!r}; quote it for the shell"
            ) from error
        print(queue_json_publish(declared, payload, delay=args.delay, event_id=args.event_id))
        return 0
    if args.event_id is not None:
        raise UsageError("--event-id is for one event, with its JSON on the command line")
    if sys.stdin.isatty():
        print(f"events for {declared.name}, a line of JSON each; Ctrl-D ends", file=sys.stderr)
    published = 0
    for window in _windows(lambda: os.read(sys.stdin.fileno(), 1 << 18)):
        published += _publish(declared, window, args.delay, published)
    print(f"{events(published)} published to {declared.name}")
    return 0


def _declared(name: str, existing: list[str]) -> Queue[Any]:
    """The application's queue; without an application one that takes any JSON, as far as the broker knows it."""
    if registry.queues():
        return registry.queue(name)
    from postroom.errors import UnknownQueue, did_you_mean

    if existing and name not in existing:
        raise UnknownQueue(f"there is no queue {name!r}{did_you_mean(name, existing)}")
    return Queue(name)


def _windows(read: Callable[[], bytes]) -> Iterator[Lines]:
    """Lines and their numbers: as many at a time as there are by now, so that a slow writer is not waited for."""
    number = 0
    rest = b""
    ended = False
    while not ended:
        data = read()
        ended = not data
        *lines, rest = (rest + data).split(b"\n")
        if ended:
            lines, rest = [*lines, rest], b""
        window: Lines = []
        for line in lines:
            number += 1
            if line.strip():
                window.append((number, line))
            if len(window) == WINDOW:
                yield window
                window = []
        if window:
            yield window
        if len(rest) > LONGEST_LINE:
            raise PostroomError(f"line {number + 1} is over {LONGEST_LINE} bytes: each line is one event's JSON")


def _publish(queue: Queue[Any], window: Lines, delay: float, before: int) -> int:
    """Publishes the lines; those before a bad one too, then raises with its number."""
    payloads = []
    bad: tuple[int, str] | None = None
    for number, line in window:
        try:
            payloads.append(parse(line))
        except BadBody as error:
            bad = (number, f"not JSON: {error}")
            break
    try:
        published = len(queue_json_publish_many(queue, payloads, delay=delay))
    except WrongPayload:
        # Nothing of the window was sent: one by one, to stop at the line that is wrong.
        published, bad = _one_by_one(queue, [number for number, _ in window], payloads, delay)
    except PublishError as error:
        sure = before + len(payloads) - len(error.unpublished)
        raise PostroomError(
            f"lines {window[0][0]} to {window[len(payloads) - 1][0]}: {error}. {events(sure)} published for certain"
        ) from error
    if bad is not None:
        raise PostroomError(
            f"line {bad[0]}: {bad[1]}. {events(before + published)} published, this line and those after it not"
        )
    return published


def _one_by_one(
    queue: Queue[Any], numbers: list[int], payloads: list[Any], delay: float
) -> tuple[int, tuple[int, str]]:
    for published, payload in enumerate(payloads):
        try:
            queue_json_publish(queue, payload, delay=delay)
        except PostroomError as error:
            return published, (numbers[published], str(error))
    raise AssertionError("a payload was refused in its window and taken alone")
