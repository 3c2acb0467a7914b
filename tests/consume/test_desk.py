"""Events whose delivery is void while their executor still has them."""

import asyncio
from typing import Any

from postroom.brokers.base import Delivery
from postroom.consume.desk import Desk
from postroom.wire.message import Message


class Hold:
    def __init__(self) -> None:
        self.acked: list[Delivery] = []

    def ack(self, deliveries: list[Delivery]) -> None:
        self.acked += deliveries


class Child:
    """What a desk needs of an executor."""

    def __init__(self, deliveries: list[Delivery]) -> None:
        self.outstanding = {seq: (0, delivery) for seq, delivery in enumerate(deliveries, 1)}
        self.void: set[int] = set()

    def settled(self, seq: int) -> tuple[int, Delivery, bool] | None:
        entry = self.outstanding.pop(seq, None)
        return None if entry is None else (*entry, seq in self.void)

    def settle(self, seqs: list[int]) -> tuple[list[Delivery], list[Delivery]]:
        entries = [entry for seq in seqs if (entry := self.settled(seq)) is not None]
        return [each for _, each, void in entries if not void], [each for _, each, void in entries if void]


def delivery(tag: int, returns: int = 0) -> Delivery:
    return Delivery("q", Message("id", b"{}", {}, 0.0), returns, tag)


def on_a_desk(act: Any) -> None:
    async def run() -> None:
        hold: Any = Hold()
        act(Desk(asyncio.get_running_loop(), hold), hold)

    asyncio.run(run())


def test_the_outcome_settles_the_new_delivery() -> None:
    def act(desk: Desk, hold: Hold) -> None:
        child: Any = Child([delivery(1)])
        desk.void(child)
        again = delivery(2, returns=1)
        assert desk.attach(again)
        assert not desk.attach(delivery(3, returns=2))
        desk.acknowledge(child, [1])
        assert hold.acked == [again]

    on_a_desk(act)


def test_an_executor_that_died_meanwhile_leaves_the_event_to_be_run() -> None:
    def act(desk: Desk, hold: Hold) -> None:
        child: Any = Child([delivery(1)])
        desk.void(child)
        child.settled(1)  # as when it died, or gave it back
        assert not desk.attach(delivery(2, returns=1))

    on_a_desk(act)


def test_done_while_the_connection_was_gone_is_not_run_again() -> None:
    def act(desk: Desk, hold: Hold) -> None:
        child: Any = Child([delivery(1)])
        desk.void(child)
        desk.acknowledge(child, [1])
        assert hold.acked == []
        again = delivery(2, returns=1)
        verdict = desk.memory.recall(again)
        assert verdict is not None
        desk.settlement.carry_out(again, verdict, False)
        assert hold.acked == [again]
        assert desk.memory.foreign_returns(again) == 0

    on_a_desk(act)
