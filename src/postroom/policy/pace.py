"""How many events a consumer holds, and how many of them an executor is handed ahead of its free slots."""

HELD_SECONDS = 1.0
AHEAD_SECONDS = 0.02
MOST_HELD = 500
MOST_AHEAD = 500


def prefetch(mean: float | None, slots: int) -> int:
    """How many unsettled events to hold for ``slots`` slots, where ``mean`` is the seconds one event takes.

    About one second's work, 1 to 500, and never less than one for each slot: so slow jobs spread over all
    consumers, and fast ones never wait for the broker. None: nothing is known yet, they may be slow.
    """
    if mean is None:
        return slots
    wanted = int(HELD_SECONDS * slots / max(mean, 1e-6))
    return max(slots, min(MOST_HELD, wanted))


def ahead(mean: float | None) -> int:
    """How many events an executor may be handed beyond its free slots: about 20 ms of work, so that it never
    waits for the consumer, yet little is stuck behind a slow one."""
    if mean is None:
        return 0
    return min(MOST_AHEAD, int(AHEAD_SECONDS / max(mean, 1e-6)))


def smooth(mean: float | None, seconds: float, events: int) -> float:
    """The running mean of the seconds an event takes, after ``events`` more took ``seconds`` together.

    Quick to rise and slower to fall: one slow event is enough to stop hoarding."""
    latest = seconds / max(events, 1)
    if mean is None:
        return latest
    weight = 0.5 if latest > mean else min(0.5, 0.02 * events)
    return mean + weight * (latest - mean)
