"""How long a queue will take to empty."""


def time_to_clear(ready: int, mean: float | None, consumers: int) -> float | None:
    """Seconds until ``ready`` events are done by ``consumers`` that take ``mean`` seconds an event each.
    None where that cannot be told."""
    if ready == 0:
        return 0.0
    if mean is None or consumers == 0:
        return None
    return ready * mean / consumers
