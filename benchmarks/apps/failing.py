"""A queue whose every event dies at its first attempt, of one of four errors."""

from postroom import Queue, assign_queue

failing: Queue[dict[str, int]] = Queue("failing", dict[str, int], max_attempts=1)

ERRORS = ("no such team", "the mailbox is full", "address refused", "timed out")


@assign_queue(failing, concurrency=16)
def fail(event: dict[str, int]) -> None:
    raise ValueError(f"{ERRORS[event['n'] % len(ERRORS)]}: {event['n']}")
