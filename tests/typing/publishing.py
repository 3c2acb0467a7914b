"""What the types of publishing accept, and what they refuse: the lines that say so, and no others."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

from msgspec import Struct

from postroom import (
    Queue,
    aqueue_json_publish,
    queue_json_publish,
    queue_json_publish_many,
    queue_json_request,
)


@dataclass(frozen=True)
class Invite:
    email: str
    team: int


class Click(Struct):
    x: int


class Visit(TypedDict):
    page: str


invites = Queue("invites", Invite, max_attempts=8)
clicks = Queue("clicks", Click)
visits = Queue("visits", Visit)
counts = Queue("counts", int)
anything = Queue("anything")
either = Queue("either", Invite | Click)
by_team = Queue("by_team", Invite, order_by="team")
by_domain = Queue("by_domain", Invite, order_by=lambda invite: invite.email.partition("@")[2])

guest = Invite("ada@example.com", 7)


def accepted() -> None:
    queue_json_publish(invites, guest)
    queue_json_publish(clicks, Click(1))
    queue_json_publish(visits, Visit(page="/"))
    queue_json_publish(counts, 7)
    queue_json_publish(anything, [1, "two"])
    queue_json_publish(either, Click(1))
    queue_json_publish("invites", {"email": "ada@example.com", "team": 7})
    queue_json_publish_many(invites, [guest, guest])
    queue_json_publish_many(invites, guests())
    print(queue_json_request(invites, guest, timeout=3)["mail"])
    queue_json_request("invites", {"email": "ada@example.com", "team": 7})


def guests() -> Iterator[Invite]:
    yield guest


def refused() -> None:
    queue_json_publish(invites, Click(1))  # refused
    queue_json_publish(invites, {"email": "ada@example.com", "team": 7})  # refused
    queue_json_publish(invites, "ada@example.com")  # refused
    queue_json_publish(clicks, guest)  # refused
    queue_json_publish(visits, {"pages": "/"})  # refused
    queue_json_publish(counts, "7")  # refused
    queue_json_publish(invites)  # refused
    queue_json_publish_many(invites, [guest, Click(1)])  # refused
    queue_json_request(invites, Click(1))  # refused
    queue_json_request(invites, guest, timeout="3")  # refused
    queue_json_publish_many(invites, guest)  # refused
    queue_json_publish(7, guest)  # refused


async def awaited() -> None:
    event_id: str = await aqueue_json_publish(invites, guest)
    await aqueue_json_publish(invites, Click(1))  # refused
    print(event_id)
