"""When something that has ended is started again."""

LONGEST_PAUSE = 30.0
SOUND_SECONDS = 10.0
"""Who has lasted so long was sound: its next failure is the first in a row."""


def restart_delay(failures: int, chance: float) -> float:
    """Seconds until the next start after ``failures`` starts that failed: exponential, 30 s at most, spread by
    ``chance`` in [0, 1) (full jitter)."""
    return min(LONGEST_PAUSE, 0.5 * 2.0 ** min(failures, 10)) * chance
