"""How long a queue will take to empty."""

from collections.abc import Sequence

from .report import WorkerReport


def time_to_clear(ready: int, mean: float | None, consumers: int) -> float | None:
    """Seconds until ``ready`` events are done by ``consumers`` that take ``mean`` seconds an event each.
    None where that cannot be told."""
    if ready == 0:
        return 0.0
    if mean is None or consumers == 0:
        return None
    return ready * mean / consumers


def backlog(ready: int, reports: Sequence[WorkerReport]) -> int:
    """Events that wait: those in the queue, and those that consumers hold ahead of their work."""
    return ready + sum(max(0, report.in_hand - report.slots) for report in reports)


def pooled(reports: Sequence[WorkerReport]) -> tuple[float | None, int]:
    """The mean seconds an event takes in one slot, over all consumers that know it, and how many slots they have.

    A consumer that has not finished anything yet is thought to be as fast as the others."""
    known = [report for report in reports if report.mean is not None]
    slots = sum(report.slots for report in reports)
    per_second = sum(report.slots / max(report.mean or 0.0, 1e-6) for report in known)
    return (sum(report.slots for report in known) / per_second if known else None), slots
