"""What becomes of an event after its outcome."""

import math

from msgspec import Struct

from postroom.wire import headers as h
from postroom.wire.message import Headers, Message

from .retry import backoff

NEWER_VERSION_DELAY = 30.0
LONGEST_IN_PLACE = 600.0


class Ack(Struct, frozen=True):
    """It leaves its queue."""


class Reschedule(Struct, frozen=True):
    """A copy with these headers replaces it, due in ``delay`` seconds."""

    headers: Headers
    delay: float


class Bury(Struct, frozen=True):
    """It goes to the dead letters with these headers."""

    headers: Headers


Verdict = Ack | Reschedule | Bury


class Limits(Struct, frozen=True):
    """What a queue allows: see ``Queue``."""

    max_attempts: int
    backoff: float
    max_crashes: int


class Moment(Struct, frozen=True):
    """When (seconds since the epoch), on which host, and by what ``chance`` in [0, 1) a verdict falls."""

    now: float
    host: str
    chance: float


def after_failure(
    message: Message, kind: str, error: str, traceback: str, after: float, limits: Limits, moment: Moment
) -> Verdict:
    """The verdict on an event that was not consumed; ``kind`` is that of ``protocol.Failed``."""
    headers = message.headers
    if kind in ("drop", "expired"):
        return Ack()
    if h.REPLY_TO in headers:
        if kind not in ("retry", "bury"):
            return Ack()  # its error is the answer
        if kind == "retry" and moment.now + after >= (h.moment(headers, h.DEADLINE) or math.inf):
            return Ack()
    if kind == "retry":
        return Reschedule(h.rescheduled(headers), after)
    if kind == "bury":
        return buried(headers, f"the worker buried it: {error}", traceback, moment)
    if kind == "rubbish":
        return buried(headers, f"it is no payload of this queue: {error}", "", moment)
    attempts = h.number(headers, h.ATTEMPTS) + 1
    first = h.moment(headers, h.FIRST_FAILED) or moment.now
    fresh = h.rescheduled(headers, attempts=attempts, first_failed=first, last_error=error)
    # It ran to its end: whatever it was suspected of, it did not kill its executor.
    fresh.pop(h.SUSPECT, None)
    if attempts >= limits.max_attempts:
        if kind == "newer":
            reason = f"no worker that knows its version came, in {attempts} attempts: {error}"
        else:
            reason = (
                f"all {attempts} attempts failed, the last with {error}" if attempts > 1 else f"it failed: {error}"
            )
        return buried(fresh, reason, traceback, moment)
    if kind == "newer":
        return Reschedule(fresh, NEWER_VERSION_DELAY)
    return Reschedule(fresh, backoff(attempts, limits.backoff, moment.chance))


def after_crash(message: Message, how: str, limits: Limits, moment: Moment) -> Verdict:
    """The verdict on an event that killed its executor; ``how`` is the end of a sentence that starts with
    "its executor": "was killed by signal SIGSEGV"."""
    headers = message.headers
    crashes = h.number(headers, h.CRASHES) + 1
    first = h.moment(headers, h.FIRST_FAILED) or moment.now
    fresh = h.rescheduled(headers, crashes=crashes, first_failed=first, last_error=f"its executor {how}")
    if crashes >= limits.max_crashes:
        return buried(fresh, f"it killed {crashes} executors; the last {how}", "", moment)
    return Reschedule(fresh, backoff(crashes, limits.backoff, moment.chance))


def in_place(message: Message, verdict: Reschedule, moment: Moment) -> Verdict:
    """``verdict`` on an event whose followers wait for it: it is retried where it is, for 10 minutes at most.

    It is no other event by that, so its generation stays: should it come back, it is known.
    """
    since = h.moment(message.headers, h.HELD) or h.moment(verdict.headers, h.HELD) or moment.now
    left = since + LONGEST_IN_PLACE - moment.now
    if left <= 0:
        error = h.text(verdict.headers, h.LAST_ERROR)
        reason = "it was retried in place for 10 minutes, and its followers waited"
        return buried(verdict.headers, f"{reason}: {error}" if error else reason, "", moment)
    fresh = {**verdict.headers, h.HELD: since}
    if h.GENERATION in message.headers:
        fresh[h.GENERATION] = message.headers[h.GENERATION]
    else:
        fresh.pop(h.GENERATION, None)
    return Reschedule(fresh, min(verdict.delay, left))


def too_large(message: Message, most: int, moment: Moment) -> Verdict:
    """The verdict on a body of more than ``most`` bytes."""
    size = len(message.body)
    return buried(message.headers, f"it is {size} bytes, the queue's max_bytes is {most}", "", moment)


def suspected(message: Message, delay: float = 0.0) -> Reschedule:
    """The verdict on an event that came back twice without any outcome: marked, nothing counted, run alone."""
    return Reschedule(h.rescheduled(message.headers, suspect=True), delay)


def buried(headers: Headers, reason: str, traceback: str, moment: Moment) -> Bury:
    """To the dead letters, for ``reason``."""
    kept = h.unasked(headers)
    return Bury(h.rescheduled(kept, died=moment.now, reason=reason, traceback=traceback, host=moment.host))
