"""A Nagios plugin: a line, performance data, details; exit status 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from msgspec import structs

from postroom.errors import BrokerError, PostroomError
from postroom.operate import checks
from postroom.operate.checks import Finding, Measure, Outcome, gravest_first
from postroom.policy.checks import Bounds, Level, State

from .application import broker_for
from .numbers import seconds
from .text import safe, span
from .usage import UsageError

OLD = 600.0


def add_arguments(parser: Any) -> None:
    """The arguments of ``check``."""
    parser.add_argument(
        "what",
        choices=("consumers", "queues", "worker"),
        help="consumers: somebody consumes each queue; queues: how long they need to clear, and dead letters; "
        "worker: the consumers answer, and consume",
    )
    parser.add_argument("names", metavar="Q", nargs="*", help="only these queues")
    parser.add_argument("--burst", metavar="W,C", type=_pair, help="seconds to clear, soon after the queue was empty")
    parser.add_argument("--steady", metavar="W,C", type=_pair, help="the same, where it has not been for a while")
    parser.add_argument(
        "--steady-after",
        metavar="SECONDS",
        type=seconds,
        default=Bounds().steady_after,
        help="what is a while: %(default)g by default",
    )
    parser.add_argument(
        "--stuck",
        metavar="SECONDS",
        type=seconds,
        default=Bounds().stuck,
        help="without progress although events wait: critical; %(default)g by default",
    )
    parser.add_argument(
        "--dead", metavar="N", type=_count, default=Bounds().dead, help="dead letters that are no warning yet"
    )
    parser.add_argument("--cron", metavar="FILE", help="write the result to a file, for a passive check")
    parser.add_argument("--cron-read", metavar="FILE", help="tell what such a file says; too old: UNKNOWN")
    parser.add_argument(
        "--max-age", metavar="SECONDS", type=seconds, default=OLD, help="too old for --cron-read; %(default)g"
    )


def run(args: Any) -> int:
    """Prints what was found. Returns the plugin's status."""
    if args.cron_read is not None:
        if args.cron is not None:
            raise UsageError("give --cron to write a file, or --cron-read to read one")
        status, text = _read(Path(args.cron_read), args.what, args.max_age)
        print(text)
        return status
    outcome = _outcome(args)
    head, *details = _lines(args.what, outcome)
    if args.cron is not None:
        try:
            _write(Path(args.cron), outcome.level, head)
        except OSError as error:
            why = f"the state cannot be written to {args.cron}: {error}"
            outcome = Outcome([Finding(Level.UNKNOWN, State.CANNOT_CHECK, "all queues", why)], [])
            head, *details = _lines(args.what, outcome)
    print("\n".join([head, *details]))
    return outcome.level


def _outcome(args: Any) -> Outcome:
    def bounds(queue: str) -> Bounds:
        declared = checks.declared_bounds(queue)
        return structs.replace(
            declared,
            burst=args.burst or declared.burst,
            steady=args.steady or declared.steady,
            steady_after=args.steady_after,
            stuck=args.stuck,
            dead=args.dead,
        )

    try:
        broker = broker_for(args)
        try:
            return checks.CHECKS[args.what](broker, args.names, bounds)
        finally:
            broker.close()
    except BrokerError as error:
        return checks.without_broker(error, args.names, Level.CRITICAL, State.NO_BROKER)
    except PostroomError as error:
        return checks.without_broker(error, args.names, Level.UNKNOWN, State.CANNOT_CHECK)


def _lines(what: str, outcome: Outcome) -> list[str]:
    findings = gravest_first(outcome.findings)
    bad = [finding for finding in findings if finding.level]
    if bad:
        others = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        text = f"{_sentence(bad[0])}{others}"
    else:
        queues = len({finding.queue for finding in findings})
        text = f"{queues} {'queue' if queues == 1 else 'queues'}"
    head = f"POSTROOM {what.upper()} {outcome.level.name} - {text}"
    perfdata = " ".join(_measure(measure) for measure in outcome.measures if measure.value is not None)
    details = [f"{finding.level.name}: {_sentence(finding)}" for finding in findings]
    # Nagios reads on until a bar in the details; ours have none.
    return [f"{head} | {perfdata}" if perfdata else head, *details]


def _sentence(finding: Finding) -> str:
    text = f"{finding.queue}: {finding.what} [{finding.state.value}]"
    if finding.next:
        text += f"; next: {finding.next}"
    return safe(" ".join(text.split())).replace("|", "/")


def _measure(measure: Measure) -> str:
    bounds = "" if measure.bounds is None else f";{measure.bounds[0]:g};{measure.bounds[1]:g}"
    return f"'{measure.label}'={measure.value:.6g}{measure.unit}{bounds}"


def _write(path: Path, level: Level, head: str) -> None:
    """One line, ``epoch|status|STATE|text``, there whole or not at all. Raises OSError."""
    line = f"{int(time.time())}|{level.value}|{level.name}|{head.replace('|', '/')}\n"
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "w") as file:
            file.write(line)
        Path(name).chmod(0o644)  # whoever reads it is another user, mostly
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _read(path: Path, what: str, most: float) -> tuple[int, str]:
    try:
        stamp, status, _, text = path.read_text().rstrip("\n").split("|", 3)
        age, level = time.time() - int(stamp), Level(int(status))
    except (OSError, ValueError) as error:
        return _old(what, f"{path} cannot be read ({error})")
    if age > most:
        return _old(what, f"{path} was written {span(age)} ago, so that nobody knows how it is now")
    return level.value, text


def _old(what: str, why: str) -> tuple[int, str]:
    finding = Finding(Level.UNKNOWN, State.OLD_FILE, "all queues", why, f"postroom check {what}")
    return Level.UNKNOWN.value, f"POSTROOM {what.upper()} UNKNOWN - {_sentence(finding)}"


def _pair(text: str) -> tuple[float, float]:
    try:
        warning, critical = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("give two numbers of seconds: warning,critical") from None
    if not 0 <= warning <= critical:
        raise argparse.ArgumentTypeError("the first number, for a warning, must not be above the second")
    return warning, critical


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("give a whole number, 0 or more")
    return number
