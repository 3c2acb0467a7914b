"""What travels."""

from dataclasses import dataclass

from postroom import Queue


@dataclass(frozen=True)
class Invite:
    """``email`` is invited."""

    email: str


invites = Queue("invites", Invite, max_attempts=3)
