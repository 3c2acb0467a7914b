"""Who does it."""

from postroom import BatchWorker, Worker, assign_queue, queue_json_publish

from .models import Guest
from .queues import Invite, invites


@assign_queue(invites)
class InviteWorker(Worker[Invite]):
    """Writes the guest down, and has them greeted."""

    def consume(self, event: Invite) -> None:
        """Raises ValueError for an address that is none."""
        if "@" not in event.email:
            raise ValueError(event.email)
        Guest.objects.create(email=event.email)
        queue_json_publish("greetings", event.email)


@assign_queue("greetings", concurrency=4)
async def greet(email: str) -> None:
    """Greets."""
    await Guest.objects.filter(email=email).aupdate(greeted=True)


@assign_queue("visits", batch_size=3, batch_seconds=0.1)
class VisitWorker(BatchWorker[str]):
    """Writes many down at once."""

    def consume_batch(self, events: list[str]) -> None:
        """One insert."""
        Guest.objects.bulk_create([Guest(email=email) for email in events])
