"""The dead letters of a queue: list why they died, show one whole, requeue them, or drop them.

``dead list Q`` and ``dead show Q ID``; ``dead requeue Q`` and ``dead drop Q`` take ids, ``--error TEXT`` or
``--all``. The beginning of an id is enough where it is unique. While letters are looked at, they are hidden from
others on RabbitMQ.
"""

import sys
from typing import Any

import msgspec

from postroom.brokers.base import Broker, Fate
from postroom.operate import control, dead
from postroom.wire import headers as h
from postroom.wire.message import Message

from .application import broker_for
from .ask import sure
from .numbers import positive
from .progress import Progress
from .table import table
from .text import count, events, first_line, json_line, moment, payload_fields, payload_in_lines, safe, safe_lines
from .usage import UsageError


def add_arguments(parser: Any) -> None:
    """The arguments of ``dead``."""
    parser.add_argument("action", choices=("list", "show", "requeue", "drop"), help="what to do with them")
    parser.add_argument("name", metavar="Q", help="the queue")
    parser.add_argument("ids", metavar="ID", nargs="*", help="which letters, by id")
    parser.add_argument("--error", metavar="TEXT", help="those whose reason or last error contains TEXT")
    parser.add_argument("--all", action="store_true", help="all of them (requeue, drop)")
    parser.add_argument(
        "-n", metavar="N", type=positive, default=50, help="list the latest N; %(default)s by default"
    )
    parser.add_argument("--json", action="store_true", help="a line of JSON for each letter (list, show)")
    parser.add_argument("--yes", action="store_true", help="do not ask (drop)")


def run(args: Any) -> int:
    """Does the action."""
    _refuse_what_contradicts(args)
    broker = broker_for(args)
    if args.action == "list":
        return _list(broker, args)
    if args.action == "show":
        return _show(broker, args)
    return _move(broker, args, Fate.REQUEUE if args.action == "requeue" else Fate.DROP)


def _refuse_what_contradicts(args: Any) -> None:
    ways = bool(args.ids) + bool(args.all) + (args.error is not None)
    if args.action == "list" and (args.ids or args.all):
        raise UsageError("dead list takes no ids and lists all that it may; --error TEXT and -n N narrow it")
    if args.action == "show" and (len(args.ids) != 1 or ways > 1):
        raise UsageError("dead show takes the id of one letter, or its beginning")
    if args.action in ("requeue", "drop") and ways != 1:
        raise UsageError(f"which letters? dead {args.action} takes ids, --error TEXT or --all, one of the three")


def _list(broker: Broker, args: Any) -> int:
    chooser = dead.everything if args.error is None else dead.with_error(args.error)
    with Progress("dead letters") as progress:
        letters, total = dead.letters(broker, args.name, chooser, args.n, progress)
    if args.json:
        for letter in letters:
            print(json_line(letter))
        return 0
    if not letters:
        print(f"{args.name} has no dead letters" + ("" if args.error is None else f" with {args.error!r}"))
        return 0
    rows = [
        [safe(each.id), moment(each.died), count(each.attempts + each.crashes), first_line(each.reason)]
        for each in letters
    ]
    print(table(("ID", "DIED", "ATTEMPTS", "REASON"), rows, right=(2,), fit=True))
    if total > len(letters):
        print(f"the latest {count(len(letters))} of {count(total)}; -n N shows more")
    return 0


def _show(broker: Broker, args: Any) -> int:
    with Progress("dead letters") as progress:
        messages = dead.whole(broker, args.name, args.ids[0], progress)
    for message in messages:
        print(json_line(_fields(message)) if args.json else _page(message))
    return 0


def _fields(message: Message) -> dict[str, Any]:
    return {
        **msgspec.structs.asdict(dead.letter(message)),
        "last_error": h.text(message.headers, h.LAST_ERROR),
        "traceback": h.text(message.headers, h.TRACEBACK),
        "headers": message.headers,
        **payload_fields(message),
    }


def _page(message: Message) -> str:
    letter = dead.letter(message)
    lines = [
        f"id            {safe(letter.id)}",
        f"died          {moment(letter.died)}" + (f" on {safe(letter.host)}" if letter.host else ""),
        f"reason        {first_line(letter.reason)}",
        f"attempts      {letter.attempts}"
        + (f", and {'1 crash' if letter.crashes == 1 else f'{letter.crashes} crashes'}" if letter.crashes else ""),
        f"published     {moment(letter.published)}",
        f"first failed  {moment(letter.first_failed)}",
    ]
    last = h.text(message.headers, h.LAST_ERROR)
    if last:
        lines.append(f"last error    {first_line(last)}")
    # Postroom's own are told above; the publisher's are left.
    own = {name: value for name, value in message.headers.items() if not name.startswith(h.PREFIX)}
    if own:
        lines += ["", "headers", *(f"  {safe(name)}: {safe(str(value))}" for name, value in sorted(own.items()))]
    lines += ["", "payload", *("  " + line for line in payload_in_lines(message.body).splitlines())]
    traceback = h.text(message.headers, h.TRACEBACK).rstrip()
    if traceback:
        lines += ["", *safe_lines(traceback).splitlines()]
    return "\n".join(lines) + "\n"


def _move(broker: Broker, args: Any, fate: Fate) -> int:
    done = "requeued" if fate is Fate.REQUEUE else "dropped"
    if fate is Fate.DROP and not args.ids:
        there = control.waiting(broker, args.name, dead=True)
        which = f"of its {events(there, 'dead letter')} " + ("all" if args.all else f"those with {args.error!r}")
        if not sure(f"{args.name}: {which} will be gone for good. Drop?", args.yes):
            print("nothing was dropped", file=sys.stderr)
            return 1
    with Progress("dead letters") as progress:
        if args.all:
            chooser: dead.Chooser = dead.everything
        elif args.error is not None:
            chooser = dead.with_error(args.error)
        else:
            chooser = dead.with_ids(broker, args.name, args.ids, progress)
        moved = dead.sweep(broker, args.name, chooser, fate, progress)
    print(f"{events(moved, 'dead letter')} of {args.name} {done}")
    return 0
