"""What the types of workers accept, and what they refuse: the lines that say so, and no others."""

from dataclasses import dataclass

from postroom import BatchWorker, Queue, Worker, assign_queue


@dataclass(frozen=True)
class Invite:
    email: str
    team: int


invites = Queue("invites", Invite)


@assign_queue(invites, timeout=30)
class InviteWorker(Worker[Invite]):
    def consume(self, event: Invite) -> None:
        print(event.email.upper())


@assign_queue("user_activity", batch_size=500, batch_seconds=5)
class ActivityWorker(BatchWorker[Invite]):
    def consume_batch(self, events: list[Invite]) -> None:
        print(events[0].team + 1)


@assign_queue("thumbnails", concurrency=8)
async def make_thumbnail(event: Invite) -> None:
    print(event.team)


@assign_queue("letters")
def write_letter(event: Invite) -> None:
    print(event.email)


kept: type[InviteWorker] = InviteWorker  # the decorator gives back what it was given


class WrongEvent(Worker[Invite]):
    def consume(self, event: int) -> None:  # refused
        print(event)


class WrongList(BatchWorker[Invite]):
    def consume_batch(self, events: list[int]) -> None:  # refused
        print(events)


@assign_queue(invites, timeout="30")  # refused
class WrongTimeout(Worker[Invite]):
    def consume(self, event: Invite) -> None:
        print(event)


write_letter(7)  # refused
