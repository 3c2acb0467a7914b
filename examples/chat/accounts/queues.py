"""What travels when someone has signed up."""

from dataclasses import dataclass

from postroom import Queue


@dataclass(frozen=True)
class Confirmation:
    user: int


confirmations = Queue("confirmations", Confirmation, max_attempts=8)
