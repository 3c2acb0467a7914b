"""What ``queues`` says of queues that the broker cannot tell about."""

import pytest

from postroom.brokers.base import Figures, MissingQueue
from postroom.brokers.memory import MemoryBroker
from postroom.cli.queues import _row
from postroom.errors import BrokerError, UnknownQueue
from postroom.operate.listing import listing


class Patchy(MemoryBroker):
    """Knows three queues: one is there, one not yet, and one does not answer."""

    def queues(self) -> list[str]:
        return ["there", "missing", "silent"]

    def figures(self, queue: str) -> Figures:
        if queue == "missing":
            raise MissingQueue("not there")
        if queue == "silent":
            raise BrokerError("no answer within 10 seconds")
        return super().figures(queue)


def test_one_silent_queue_does_not_hide_the_others() -> None:
    found = {state.queue: state for state in listing(Patchy("memory://patchy"), []).queues}
    missing, silent, there = found["missing"], found["silent"], found["there"]
    assert there.figures is not None
    assert _row(missing)[-1] == "not made yet"
    assert missing.error is None
    assert _row(silent)[-1] == "no answer within 10 seconds"


def test_a_wrong_name_is_an_error() -> None:
    with pytest.raises(UnknownQueue, match="did you mean 'there'"):
        listing(Patchy("memory://patchy"), ["their"])
