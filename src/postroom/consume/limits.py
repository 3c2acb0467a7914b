"""Keeping the time: who is past half of its limit, at it, or far over it; and what limit the broker has."""

import logging
from collections.abc import Iterable

from postroom.brokers.base import InHandLimit
from postroom.execute.protocol import QueueDeclaration
from postroom.execute.signals import SOFT_LIMIT, STACKS

from .child import Child

log = logging.getLogger("postroom")

TICK = 0.1


def compare(queues: Iterable[QueueDeclaration], grace: float, limit: InHandLimit | None) -> None:
    """Says which queues' events may be in hand for longer than the broker allows."""
    for queue in queues:
        if limit is None:
            return
        if queue.timeout is None:
            log.warning("%s has no time limit, but %s", queue.name, limit.advice)
        elif queue.timeout + grace > limit.seconds:
            log.warning("%s may take %g s, but %s", queue.name, queue.timeout + grace, limit.advice)


class TimeKeeper:
    """Looks at the pages of all executors, ten times a second while anything is in hand.

    ``grace``: seconds from the soft limit to the hard one.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._half: dict[tuple[int, int], bool] = {}
        self._seen_over: set[tuple[int, int]] = set()

    def look(self, child: Child) -> None:
        """Enforces the limits in one executor."""
        over = []
        neighbours = False
        for lane, seq, seconds in child.busy():
            limit = child.lanes[lane].timeout
            if limit is None or seconds < limit / 2:
                neighbours = True
                continue
            self._at_half(child, lane, seq, seconds, limit)
            if seconds >= limit:
                child.signal(SOFT_LIMIT)
            if seconds >= limit + self._grace:
                over.append((lane, seq))
            else:
                neighbours = True
        self._at_hard_limit(child, over, neighbours)

    def _at_half(self, child: Child, lane: int, seq: int, seconds: float, limit: float) -> None:
        if (child.pid, seq) in self._half or seq not in child.outstanding:
            return
        self._half[child.pid, seq] = True
        if len(self._half) > 1000:
            self._half.pop(next(iter(self._half)))
        log.warning(
            "%s %s has run for %.1f s of its %g s: the stacks of executor %d follow",
            child.lanes[lane].name,
            child.outstanding[seq][1].message.id,
            seconds,
            limit,
            child.pid,
        )
        child.signal(STACKS)

    def _at_hard_limit(self, child: Child, over: list[tuple[int, int]], neighbours: bool) -> None:
        # A page is read while it is written: only what was seen twice is believed.
        believed = [(lane, seq) for lane, seq in over if (child.pid, seq) in self._seen_over]
        self._seen_over = {key for key in self._seen_over if key[0] != child.pid}
        self._seen_over.update((child.pid, seq) for _, seq in over)
        if not believed:
            return
        for lane, seq in believed:
            if child.lanes[lane].kind == "batch":
                child.overdue.update(s for s, (its, _) in child.outstanding.items() if its == lane)
            child.overdue.add(seq)
        # Its neighbours first get their grace: it is told to stop, and ended when they are through.
        first_seen = not child.stopping
        child.stop()
        longest = max((s for lane, seq, s in child.busy() if seq in child.overdue), default=0.0)
        limit = min((child.lanes[lane].timeout or 0.0) for lane, _ in believed)
        if not neighbours or longest >= limit + 2 * self._grace:
            child.kill()
        elif first_seen:
            log.warning("executor %d is over its hard limit; it ends when its other events are through", child.pid)
