"""The dead letters: why each died, back to the queue, or gone.

A *chooser* says which letters are meant. ``tell`` is called with the number of letters seen so far.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence

from msgspec import Struct

from postroom.brokers.base import Broker, Fate
from postroom.errors import PostroomError
from postroom.wire import headers as h
from postroom.wire.message import Message

from .names import check

Chooser = Callable[[Message], bool]
Tell = Callable[[int], None]


class Letter(Struct, frozen=True):
    """A dead letter without its payload. Times are in seconds since the epoch; ``died`` is None for a letter
    that the broker itself or a foreign program put there."""

    id: str
    died: float | None
    attempts: int
    crashes: int
    reason: str
    host: str
    published: float
    first_failed: float | None


def letter(message: Message) -> Letter:
    """What a dead message tells of its death."""
    headers = message.headers
    return Letter(
        id=message.id,
        died=h.moment(headers, h.DIED),
        attempts=h.number(headers, h.ATTEMPTS),
        crashes=h.number(headers, h.CRASHES),
        reason=h.text(headers, h.REASON),
        host=h.text(headers, h.HOST),
        published=message.published,
        first_failed=h.moment(headers, h.FIRST_FAILED),
    )


def everything(message: Message) -> bool:
    """Chooses all letters."""
    return True


def with_error(text: str) -> Chooser:
    """Chooses the letters whose reason or last error contains ``text``, in upper or lower case."""
    wanted = text.casefold()

    def choose(message: Message) -> bool:
        told = f"{h.text(message.headers, h.REASON)}\n{h.text(message.headers, h.LAST_ERROR)}"
        return wanted in told.casefold()

    return choose


def with_ids(broker: Broker, queue: str, prefixes: Sequence[str], tell: Tell) -> Chooser:
    """Chooses the letters with these ids, of which the beginning is enough where it is unique.

    Raises PostroomError for a beginning that no letter has, or several."""
    found: dict[str, set[str]] = {prefix: set() for prefix in prefixes}

    def note(message: Message) -> bool:
        for prefix, ids in found.items():
            # Two show that it is not unique; an exact id is unique whatever else begins with it.
            if message.id == prefix or (message.id.startswith(prefix) and len(ids) < 2):
                ids.add(message.id)
        return False

    sweep(broker, queue, note, Fate.KEEP, tell)
    chosen = {_the_one(queue, prefix, ids) for prefix, ids in found.items()}
    return lambda message: message.id in chosen


def _the_one(queue: str, prefix: str, ids: set[str]) -> str:
    if prefix in ids:
        return prefix
    if not ids:
        raise PostroomError(
            f"queue {queue!r} has no dead letter whose id begins with {prefix!r}; see: postroom dead list {queue}"
        )
    if len(ids) > 1:
        raise PostroomError(
            f"several dead letters of queue {queue!r} begin with {prefix!r}, "
            f"{' and '.join(sorted(ids))} among them: give more of the id"
        )
    return ids.pop()


def letters(broker: Broker, queue: str, choose: Chooser, limit: int, tell: Tell) -> tuple[list[Letter], int]:
    """The latest ``limit`` of the chosen letters, the latest last, and how many are chosen in all."""
    latest: deque[Letter] = deque(maxlen=limit)
    count = 0

    def note(message: Message) -> bool:
        nonlocal count
        if choose(message):
            count += 1
            latest.append(letter(message))
        return False

    sweep(broker, queue, note, Fate.KEEP, tell)
    return list(latest), count


def whole(broker: Broker, queue: str, prefix: str, tell: Tell) -> list[Message]:
    """The letter with this id, or beginning of an id, with payload and headers: one, but for copies.

    Raises PostroomError where there is none, or where several ids begin so."""
    found: dict[str, list[Message]] = {}

    def note(message: Message) -> bool:
        # As in with_ids. A few copies of one id are shown; more would tell nothing new.
        if message.id == prefix or (message.id.startswith(prefix) and (len(found) < 2 or message.id in found)):
            copies = found.setdefault(message.id, [])
            if len(copies) < 5:
                copies.append(message)
        return False

    sweep(broker, queue, note, Fate.KEEP, tell)
    return found[_the_one(queue, prefix, set(found))]


def sweep(broker: Broker, queue: str, choose: Chooser, fate: Fate, tell: Tell) -> int:
    """Gives the chosen letters this fate and keeps the others. Returns how many met it.

    Raises UnknownQueue, BrokerError."""
    check(broker, queue)
    seen = 0
    told = time.monotonic()

    def judge(message: Message) -> Fate:
        nonlocal seen, told
        seen += 1
        if seen % 100 == 0 and time.monotonic() - told > 0.1:
            told = time.monotonic()
            tell(seen)
        return fate if choose(message) else Fate.KEEP

    fates = broker.sweep_dead(queue, judge)
    return 0 if fate is Fate.KEEP else fates.get(fate, 0)
