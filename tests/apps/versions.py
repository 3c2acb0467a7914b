"""A queue at its second version."""

from dataclasses import dataclass
from typing import Any

from postroom import Queue, assign_queue

from .acts import note


@dataclass(frozen=True)
class Guest:
    email: str


def upgrade(data: Any, version: int) -> Any:
    return {"email": data["mail"]}


guests = Queue("guests", Guest, version=2, upgrade=upgrade, backoff=0.02)


@assign_queue(guests)
def work(event: Guest) -> None:
    note("guest", email=event.email)
