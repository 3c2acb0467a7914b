"""Making exchanges and queues where they do not exist, and saying what is wrong where RabbitMQ refuses that."""

import re
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from postroom.errors import BrokerError

from .io import Channel, ChannelClosed, Link

NOT_FOUND: Final = 404
MAY_NOT: Final = 403
OTHERWISE: Final = 406

# Every queue of ours. Replicas are stated, so that no node's own default decides: three, or as many as there are
# nodes where there are fewer. Leaders go to the nodes that have the fewest.
QUORUM: Final[dict[str, Any]] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 1_000_000,  # out of reach: where it is not set, RabbitMQ 4 drops events at the 21st look
    "x-quorum-initial-group-size": 3,
    "x-queue-leader-locator": "balanced",
}

_DIFFERENCE = re.compile(r"inequivalent arg '([^']+)' for .*: received (.+) but current is (.+) \(406\)$")
_TYPED = re.compile(r"the value ('.*') of type '.*'")


class Thing(Struct, frozen=True):
    """An exchange or a queue. ``kind`` is one of the two words; ``how`` is the rest of its declaration;
    ``part_of`` is the queue that it belongs to, if it holds events that can be moved."""

    kind: str
    name: str
    how: dict[str, Any]
    part_of: str = ""

    async def declare(self, channel: Channel) -> None:
        """Makes it, or finds it as it should be. Raises ChannelClosed, or OtherDeclaration."""
        try:
            await channel.call(f"{self.kind}_declare", **{self.kind: self.name}, durable=True, **self.how)
        except ChannelClosed as error:
            if error.code == OTHERWISE:
                raise OtherDeclaration(self, error) from error
            raise

    async def exists(self, link: Link) -> bool:
        """Whether it is there, whatever its declaration. Needs any one permission for it from RabbitMQ 4.3 on, and
        none before. Raises BrokerError."""
        channel = await link.channel()
        try:
            await channel.call(f"{self.kind}_declare", **{self.kind: self.name}, passive=True)
        except ChannelClosed as error:
            if error.code != NOT_FOUND:
                raise
            return False
        await channel.close()
        return True


def exchange(name: str, kind: str, arguments: dict[str, Any] | None = None) -> Thing:
    """A durable exchange."""
    return Thing("exchange", name, {"exchange_type": kind, "arguments": arguments})


def queue(name: str, arguments: dict[str, Any], part_of: str = "") -> Thing:
    """A durable queue."""
    return Thing("queue", name, {"arguments": arguments}, part_of)


class OtherDeclaration(BrokerError):
    """It exists, and is declared in another way."""

    def __init__(self, thing: Thing, refusal: ChannelClosed) -> None:
        found = _DIFFERENCE.search(str(refusal))
        why = str(refusal)
        if found is not None:
            name, wanted, current = found[1], _bare(found[2]), _bare(found[3])
            why = f"its {name} is {current}, not {wanted}"
        if thing.kind == "exchange":
            mend = "use another virtual host, or delete it while nothing publishes"
        elif thing.part_of:
            mend = f"postroom migrate {thing.part_of} moves its events into the right one"
        else:
            mend = "delete it when it is empty"
        super().__init__(
            f"the {thing.kind} {thing.name!r} exists in RabbitMQ with other properties than Postroom's: {why}; {mend}"
        )


def _bare(value: str) -> str:
    typed = _TYPED.fullmatch(value)
    return value if typed is None else typed[1]


async def must_exist(link: Link, things: Sequence[Thing], refusal: ChannelClosed) -> None:
    """For an account that may not declare: all is well if another one has done it. Raises BrokerError.

    What it may not even ask for counts as there: if it is not, a publish is returned and a subscription refused."""
    for thing in things:
        try:
            found = await thing.exists(link)
        except ChannelClosed as error:
            if error.code != MAY_NOT:
                raise
            found = True
        if not found:
            raise BrokerError(
                f"the {thing.kind} {thing.name!r} does not exist in RabbitMQ, and this account lacks the permission"
                f" 'configure' to make it ({refusal}); run postroom declare with the account that has it"
            ) from refusal
