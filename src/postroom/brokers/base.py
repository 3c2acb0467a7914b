"""What every broker can do: three small protocols, and the values that pass through them.

A *broker* is one process's way to a place where events wait. Publishing and control are synchronous and may
be called from any thread and after a fork. A *hold* is a consumer's grip on the events it has taken; it lives
on the consumer's asyncio loop and speaks to a *listener*.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from postroom.errors import BrokerError
from postroom.policy.report import WorkerReport
from postroom.wire.message import Headers, Message
from postroom.wire.reply import Reply

if TYPE_CHECKING:
    import asyncio  # who only publishes does not pay for these
    from concurrent.futures import Future

DEAD_SUFFIX = ".dead"

WINDOW = 1000
"""Messages of one publish that are sent and confirmed together."""


class MissingQueue(BrokerError):
    """The queue does not exist in the broker (yet): a publish or a worker makes it."""


class Delivery(Struct, eq=False):
    """One event in a consumer's hand, until it is settled or the hold is lost.

    ``returns`` is how often the event was handed to a consumer before and came back without any outcome, as
    far as the broker counts it; ``tag`` is the broker's own handle and means nothing to anybody else.
    """

    queue: str
    message: Message
    returns: int
    tag: Any


class InHandLimit(Struct, frozen=True):
    """A broker takes back what is in hand for longer than ``seconds``; ``advice`` says so, and what to do."""

    seconds: float
    advice: str


class Figures(Struct, frozen=True):
    """A queue at one moment. None is what this broker cannot tell.

    ``oldest`` is the age in seconds of the oldest ready event; ``rate`` is how many events a second leave the
    queue, of late.
    """

    ready: int
    in_hand: int | None
    delayed: int | None
    dead: int
    consumers: int
    oldest: float | None
    paused: bool
    rate: float | None = None
    in_shards: int = 0
    """Of the ready ones, those that wait where only a worker of a queue with ``order_by`` takes them."""


class Fate(enum.Enum):
    """What becomes of a dead letter in ``Broker.sweep_dead``."""

    KEEP = "keep"
    REQUEUE = "requeue"
    DROP = "drop"


class Listener(Protocol):
    """What a hold calls, always on its loop."""

    def delivered(self, deliveries: list[Delivery]) -> None:
        """Events of one or more subscribed queues have been taken, oldest first within a queue."""

    def lost(self, why: str) -> None:
        """The connection is gone and every delivery so far is void: the broker will hand them out again.

        The hold reconnects by itself, for ever, and subscribes again to what was subscribed.
        """

    def regained(self) -> None:
        """The connection is back, and all subscriptions with it. Not called for the first connection."""

    def voided(self, queue: str, why: str, outlasted: bool) -> None:
        """The broker took this one queue's events back: every delivery of it so far is void, and will be handed
        out again where the queue still has it. ``outlasted``: because one was in hand for longer than the broker
        allows. The hold subscribes again by itself; other queues go on."""

    def paused(self, queue: str) -> None:
        """The queue has been paused, or was when it was subscribed to: nothing more is delivered. What has not
        been started should go back."""

    def recalled(self, queue: str, which: Callable[[Delivery], bool]) -> None:
        """Of an ordered queue: those deliveries that this is true of are to go back, as far as they are not begun;
        what is begun is waited for. They are all events of some keys, and none of the others."""

    def resumed(self, queue: str) -> None:
        """The queue is no longer paused; deliveries begin again by themselves."""

    def reports(self) -> list[WorkerReport]:
        """How it goes, queue by queue: somebody asks, through ``Broker.reports``."""


class Hold(Protocol):
    """A consumer's grip on the events it has taken. Settling a void delivery does nothing."""

    async def open(self) -> None:
        """Connects. Raises BrokerError when what is wrong will not mend itself (a wrong password, a wrong
        address, no such host); otherwise keeps trying, with back-off and jitter, until connected."""

    def subscribe(self, queue: str, prefetch: int, ordered: bool = False) -> None:
        """Takes events of ``queue``, holding at most about ``prefetch`` unsettled ones; declares the queue
        where it does not exist. Called again, it changes the limit.

        ``ordered``: those with a key too. They come in the order of their publish within a key, and no other hold
        gets an event while an earlier one of its key is in this one's hand. Where several of a key come at once, it
        is the listener that has to take one after the other; what it gives back must be the latest of its key."""

    def unsubscribe(self, queue: str) -> None:
        """Takes no more events of ``queue``. Those taken stay in hand."""

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """These are done: they leave their queue. Returns at once; acknowledgements may be sent together,
        within 5 ms."""

    async def reschedule(self, delivery: Delivery, headers: Headers, delay: float) -> bool:
        """Replaces the event by a copy with these headers, due in ``delay`` seconds (0: at once, behind those
        that wait). The copy is confirmed before the original leaves. False if the hold was lost meanwhile:
        then the original comes back (and, if only its ack was lost, the copy too)."""

    async def bury(self, delivery: Delivery, headers: Headers) -> bool:
        """Moves the event to the queue's dead letters with these headers, confirmed before it leaves.
        False as in ``reschedule``."""

    async def reply(self, delivery: Delivery, reply: Reply) -> None:
        """Sends the reply to a request, which may be void meanwhile, to the address in its header. Returns when it is
        on its way, ahead of the acknowledgement that follows; it is not confirmed, and where it cannot be sent that
        is logged: whoever waits for it has a deadline."""

    async def note(self, delivery: Delivery, headers: Headers) -> bool:
        """Writes these headers onto an event with a key where it stands: it stays in hand, and has them should it
        come back. False where the broker cannot, or the hold was lost."""

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """These were not started: back to their queue, to where they were, and nothing counted where the
        broker allows that. Returns at once."""

    @property
    def in_hand_limit(self) -> InHandLimit | None:
        """How long this broker leaves events in hand, where the hold cannot change that; known once open."""

    async def owed(self, queue: str) -> int:
        """How many ready events of ``queue`` the broker should be handing to this hold now. 0 where there is a
        reason that none comes: not subscribed or not yet, paused, as much in hand as the prefetch allows, another
        consumer's turn, or a broker that the hold cannot reach and has said so. Raises BrokerError."""

    def resubscribe(self, queue: str) -> None:
        """Subscribes anew, as if nothing of the old subscription could be trusted; its deliveries may become
        void."""

    async def close(self) -> None:
        """Sends what is still to be sent, gives back what is in hand, and disconnects. Within 5 seconds."""


class Broker(Protocol):
    """One process's way to a place where events wait."""

    url: str
    """As given, the password masked: fit for logs."""

    def declare(self, queue: str, ordered: bool = False) -> None:
        """Makes the queue, and the one for its dead letters, where they do not exist; and what ``order_by`` takes.
        Raises BrokerError."""

    def publish(self, queue: str, messages: Sequence[Message], delay: float, timeout: float) -> None:
        """Returns when all messages are safe on disk, within ``timeout`` seconds for each ``WINDOW`` of them, in
        order; declares the queue where it does not exist. ``delay``: seconds until they are due. Raises
        NotPublished or PublishUnknown, which name the unpublished; PublishUnknown if for any of them it is unknown.
        No window is begun after one that failed."""

    def request(self, queue: str, message: Message, timeout: float, reply: "Future[Reply]") -> None:
        """Publishes a request, with the address for its reply in its headers, within ``timeout`` seconds.

        ``reply`` gets the first reply, and later ones are dropped; or NotPublished or PublishUnknown, where that is
        not raised here; or NoReply when none can come any more. Cancelled, it is forgotten."""

    def hold(self, loop: "asyncio.AbstractEventLoop", listener: Listener, name: str) -> Hold:
        """A consumer's grip, not yet open. ``name`` tells people whose it is."""

    def queues(self) -> list[str]:
        """The names of the queues that exist in the broker, without the ones for dead letters; empty where
        the broker cannot tell."""

    def figures(self, queue: str) -> Figures:
        """The queue at this moment. Raises BrokerError, or MissingQueue where a missing one is not just empty."""

    def reports(self, expected: Mapping[str, int], seconds: float) -> list[WorkerReport]:
        """Asks the consumers of these queues, wherever they run, how it goes. Returns when so many have answered
        for each queue as ``expected`` says, or after ``seconds``; what has not answered is missing. Raises
        BrokerError."""

    def delayed(self) -> int:
        """How many events of all queues wait for their time."""

    def peek(self, queue: str, limit: int) -> list[Message]:
        """The first ``limit`` ready events, oldest first, without consuming or counting anything."""

    def purge(self, queue: str) -> int:
        """Deletes the events that wait (ready and, where the broker can tell whose they are, delayed);
        those in hand stay. Returns how many."""

    def purge_dead(self, queue: str) -> int:
        """Deletes the queue's dead letters. Returns how many."""

    def pause(self, queue: str) -> None:
        """Stops consumption of the queue everywhere, durably, within 2 seconds for connected consumers."""

    def resume(self, queue: str) -> None:
        """Ends a pause."""

    def sweep_dead(self, queue: str, judge: Callable[[Message], Fate]) -> dict[Fate, int]:
        """Asks ``judge`` about every dead letter, oldest first, in bounded memory, and does as it says.

        A requeued letter goes to the end of its queue with ``headers.revived`` headers, confirmed before it
        leaves the dead letters. Returns how many met each fate."""

    def misfit(self, queue: str) -> str:
        """What ``migrate`` would mend about the queue, in a sentence; empty: nothing. Raises BrokerError."""

    def migrate(self, queue: str, told: Callable[[str], None], moving: Callable[[int], None]) -> int:
        """Makes the queue, and the one for its dead letters, anew as this version declares them, and moves their
        events. ``told`` is called with each step, in a sentence; ``moving``, again and again, with how many events
        were moved. Returns how many that are. Killed and called again, it completes. Raises BrokerError."""

    def close(self) -> None:
        """Disconnects. The broker may be used again: it reconnects."""
