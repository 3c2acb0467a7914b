"""What the memory broker can do beyond the promises of all: its clock, its synchronous verbs, its forgetting."""

import asyncio

from tests.brokers.conformance.consumer import Consumer
from tests.brokers.conformance.site import ids, letters, message, messages

from postroom.brokers.memory import MemoryBroker
from postroom.policy.report import WorkerReport
from postroom.wire.message import Message


def test_brokers_of_one_url_share_their_queues() -> None:
    MemoryBroker("memory://shared").publish("q", [event := message()], 0, 5)
    assert ids(MemoryBroker("memory://shared").peek("q", 5)) == [event.id]
    assert MemoryBroker("memory://other").peek("q", 5) == []
    MemoryBroker("memory://shared").reset()
    assert MemoryBroker("memory://shared").queues() == []


def test_time_can_be_moved() -> None:
    broker = MemoryBroker("memory://time")
    broker.publish("q", messages(1), 3600, 5)
    assert not broker.take("q", 1)
    broker.advance(3599)
    assert not broker.take("q", 1)
    broker.advance(2)
    assert len(broker.take("q", 1)) == 1
    broker.reset()


def test_a_moved_clock_wakes_the_waiting() -> None:
    broker = MemoryBroker("memory://wake")
    consumer = Consumer(broker)
    consumer.subscribe("q", 1)
    broker.publish("q", messages(1), 3600, 5)
    broker.advance(3601)
    assert len(consumer.next("q", 1)) == 1
    now = 5000.0
    broker.clock = lambda: now
    assert broker.clock() == 5000
    consumer.close()
    broker.reset()


def test_events_can_be_taken_and_settled_without_a_loop() -> None:
    broker = MemoryBroker("memory://sync")
    broker.publish("q", sent := messages(4), 0, 5)
    one, two, three, four = broker.take("q", 9)
    broker.ack([one])
    assert broker.reschedule(two, {"again": True}, 0)
    assert broker.bury(three, {"reason": "test"})
    broker.give_back([four])
    assert ids(broker.peek("q", 9)) == [four.message.id, two.message.id]
    assert broker.peek("q", 9)[1].headers == {"again": True}
    assert ids(letters(broker, "q")) == [three.message.id]
    assert not broker.reschedule(two, {}, 0)
    assert not broker.bury(one, {})
    assert sent[0].id == one.message.id
    broker.reset()


def test_what_a_publisher_does_to_its_message_afterwards_changes_nothing() -> None:
    broker = MemoryBroker("memory://copies")
    sent = Message("x", b"1", {"a": 1}, 1.0)
    broker.publish("q", [sent], 0, 5)
    sent.headers["a"] = 2
    (delivery,) = broker.take("q", 1)
    delivery.message.headers["a"] = 3
    broker.give_back([delivery])
    assert broker.peek("q", 1)[0].headers == {"a": 1}
    broker.reset()


def test_a_hold_whose_loop_was_closed_gives_back_what_it_held() -> None:
    broker = MemoryBroker("memory://loop")

    class Listener:
        def delivered(self, deliveries: object) -> None:
            loop.stop()

        def lost(self, why: str) -> None: ...
        def regained(self) -> None: ...
        def voided(self, queue: str, why: str, outlasted: bool) -> None: ...
        def paused(self, queue: str) -> None: ...
        def recalled(self, queue: str, which: object) -> None: ...
        def reports(self) -> list[WorkerReport]:
            return []

        def resumed(self, queue: str) -> None: ...

    loop = asyncio.new_event_loop()
    hold = broker.hold(loop, Listener(), "short-lived")
    loop.run_until_complete(hold.open())
    hold.subscribe("q", 5)
    broker.publish("q", messages(1), 0, 5)
    loop.run_forever()
    assert broker.figures("q").in_hand == 1
    loop.close()
    broker.publish("q", messages(1), 0, 5)
    assert broker.figures("q").in_hand == 0
    assert [delivery.returns for delivery in broker.take("q", 5)] == [1, 0]
    broker.reset()
