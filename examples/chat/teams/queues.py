"""What travels when someone is invited: which invitation; the database knows the rest."""

from dataclasses import dataclass

from postroom import Queue


@dataclass(frozen=True)
class Invite:
    invitation: int


invites = Queue("invites", Invite, max_attempts=8)
