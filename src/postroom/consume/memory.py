"""What a consumer remembers of events whose acknowledgement was lost with the connection."""

from collections import OrderedDict

from postroom.brokers.base import Delivery
from postroom.policy.verdict import Verdict
from postroom.wire import headers as h

MOST = 10_000

Key = tuple[str, str, int]


def key(delivery: Delivery) -> Key:
    """What stays the same when an event is handed out again, and differs for its retry."""
    return delivery.queue, delivery.message.id, h.number(delivery.message.headers, h.GENERATION)


class Memory:
    """The verdicts that could not be carried out, and how often events came back by this consumer's own doing.
    At most 10,000 of each: the oldest are forgotten, and then an event may run twice."""

    def __init__(self) -> None:
        self._verdicts: OrderedDict[Key, Verdict] = OrderedDict()
        self._returns: OrderedDict[Key, int] = OrderedDict()

    def remember(self, delivery: Delivery, verdict: Verdict) -> None:
        """The event will come back; then this is what shall become of it."""
        self._verdicts[key(delivery)] = verdict
        if len(self._verdicts) > MOST:
            self._verdicts.popitem(last=False)

    def recall(self, delivery: Delivery) -> Verdict | None:
        """The verdict on an event that came back, once."""
        if not self._verdicts or delivery.returns == 0:
            return None
        return self._verdicts.pop(key(delivery), None)

    def returned(self, delivery: Delivery) -> None:
        """This consumer gave the event back, or lost it with its connection."""
        its = key(delivery)
        self._returns[its] = self._returns.pop(its, 0) + 1
        if len(self._returns) > MOST:
            self._returns.popitem(last=False)

    def foreign_returns(self, delivery: Delivery) -> int:
        """How often the event came back by somebody else's doing."""
        if delivery.returns == 0:
            return 0
        return max(0, delivery.returns - self._returns.get(key(delivery), 0))
