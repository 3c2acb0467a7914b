"""When a failed event is tried again."""

LONGEST = 3600.0


def backoff(failures: int, first: float, chance: float) -> float:
    """Seconds until the next attempt after ``failures`` failed ones (1, 2, …).

    Exponential with full jitter: evenly spread, by ``chance`` in [0, 1), between 0 and a limit that starts at
    ``first`` seconds and doubles up to an hour
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """
    limit = min(LONGEST, first * 2.0 ** min(failures - 1, 60))
    return limit * chance
