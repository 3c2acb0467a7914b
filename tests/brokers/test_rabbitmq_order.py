"""The shards of an ordered queue on RabbitMQ: who takes from which, and that none is left over."""

import time
from collections.abc import Iterator

import pika
import pytest
from tests.brokers.conformance.consumer import Consumer, eventually
from tests.brokers.conformance.site import new_queue
from tests.rabbit import RabbitNode

from postroom import Queue
from postroom.brokers.rabbitmq import RabbitMQBroker, topology
from postroom.operate.doctor import queues
from postroom.queues import registry
from postroom.wire.headers import KEY
from postroom.wire.message import Message, new_id

pytestmark = pytest.mark.rabbitmq

KEYS = [str(number) for number in range(100)]


@pytest.fixture
def queue() -> str:
    return new_queue()


@pytest.fixture
def broker(rabbit_node: RabbitNode) -> Iterator[RabbitMQBroker]:
    broker = RabbitMQBroker(rabbit_node.url, None)
    yield broker
    broker.close()


@pytest.fixture
def foreign(rabbit_node: RabbitNode) -> Iterator["pika.adapters.blocking_connection.BlockingChannel"]:
    connection = pika.BlockingConnection(pika.URLParameters(rabbit_node.url))
    yield connection.channel()
    connection.close()


def publish(broker: RabbitMQBroker, queue: str) -> None:
    broker.publish(queue, [Message(new_id(), b"{}", {KEY: key}, time.time()) for key in KEYS], 0, 10)


def test_a_key_has_its_shard_for_ever() -> None:
    """What foreign programs rely on, and events that wait."""
    assert topology.place("q", {KEY: "account-7"}) == "q.16.5"
    assert topology.place("q", {KEY: "ä"}) == "q.16.3"
    assert topology.place("q", {}) == "q"
    assert len({topology.place("q", {KEY: key}) for key in KEYS}) == 16


def test_no_shard_is_left_over_by_a_member_that_takes_none(
    broker: RabbitMQBroker, queue: str, foreign: "pika.adapters.blocking_connection.BlockingChannel"
) -> None:
    """It takes its share of nothing: the other one finds that shards have nobody, and goes beyond its own share."""
    broker.declare(queue, ordered=True)
    foreign.basic_consume(topology.members(queue), lambda *_: None)
    publish(broker, queue)
    consumer = Consumer(broker)
    consumer.subscribe_ordered(queue, 10)
    seen = 0

    def all_have_come() -> bool:
        nonlocal seen
        foreign.connection.process_data_events(0)
        got = consumer.rest()
        seen += len(got)
        consumer.ack(got)
        return seen == len(KEYS)

    eventually(all_have_come, "every shard has been taken from", 40)
    consumer.close()


def test_shares_follow_who_comes_and_goes(broker: RabbitMQBroker, queue: str) -> None:
    consumers = [Consumer(broker) for _ in range(3)]

    def shards_with_events(having: list[Consumer]) -> list[set[str]]:
        """Of a round of events, which shards' came to whom."""
        publish(broker, queue)
        shards: list[set[str]] = [set() for _ in having]
        while sum(map(len, shards)) < 16:
            for consumer, its in zip(having, shards, strict=True):
                got = consumer.rest()
                its.update(topology.place(queue, delivery.message.headers) for delivery in got)
                consumer.ack(got)
            time.sleep(0.01)
        return shards

    for count in (1, 2, 3):
        consumers[count - 1].subscribe_ordered(queue, 10)
        share = -(-16 // count)
        here = consumers[:count]
        eventually(lambda: max(map(len, shards_with_events(here))) <= share, f"{count} have their share", 30)  # noqa: B023
    consumers.pop().close()
    eventually(lambda: max(map(len, shards_with_events(consumers))) <= 8, "two have their share again", 30)
    for consumer in consumers:
        consumer.close()


def test_a_pause_reaches_all_shards_and_figures_count_them(broker: RabbitMQBroker, queue: str) -> None:
    broker.declare(queue, ordered=True)
    consumer = Consumer(broker)
    consumer.subscribe_ordered(queue, 10)
    publish(broker, queue)
    consumer.ack(consumer.next(queue, len(KEYS)))
    broker.pause(queue)
    consumer.wait_paused(queue)
    publish(broker, queue)
    eventually(lambda: broker.figures(queue).ready == len(KEYS), "all wait")
    broker.resume(queue)
    assert len(consumer.next(queue, len(KEYS))) == len(KEYS)
    consumer.close()


def test_the_doctor_finds_events_that_an_order_by_has_left_behind(broker: RabbitMQBroker, queue: str) -> None:
    publish(broker, queue)
    snapshot = registry.Snapshot()
    try:
        Queue(queue)
        (finding,) = [each for each in queues.each(broker) if "shards" in each.what]
    finally:
        snapshot.restore()
    assert finding.about == f"queue {queue}"
    assert "100 events waiting in its shards, where nobody looks" in finding.what


def test_a_standby_is_owed_nothing(broker: RabbitMQBroker, queue: str) -> None:
    """What waits behind another consumer's full hand does not make this one deaf."""
    first, second = Consumer(broker), Consumer(broker)
    first.subscribe_ordered(queue, 10)
    second.subscribe_ordered(queue, 10)
    key, many = "a", 300  # more than one holds of a shard
    broker.publish(queue, [Message(new_id(), b"{}", {KEY: key}, time.time()) for _ in range(many)], 0, 10)
    eventually(lambda: broker.figures(queue).ready < many, "somebody has the shard", 20)
    time.sleep(2)
    owed = {first.owed(queue), second.owed(queue)}
    assert owed == {0}
    first.close()
    second.close()


def test_what_is_on_its_way_when_a_shard_is_given_up_keeps_its_place(broker: RabbitMQBroker, queue: str) -> None:
    """The acknowledgements make RabbitMQ send more, to a consumer that is about to leave."""
    sent = [Message(new_id(), b"{}", {KEY: "a"}, time.time()) for _ in range(600)]
    broker.publish(queue, sent, 0, 10)
    first, second = Consumer(broker), Consumer(broker)
    first.subscribe_ordered(queue, 10)
    got = first.next(queue, 256)
    first.ack(got[:50])
    first.unsubscribe(queue)
    first.give_back(got[50:])
    second.subscribe_ordered(queue, 10)
    seen: list[str] = []
    while not seen or seen[-1] != sent[-1].id:
        (delivery,) = second.next(queue, 1)
        second.ack([delivery])
        seen.append(delivery.message.id)
    places = {message.id: place for place, message in enumerate(sent)}
    assert seen == sorted(seen, key=lambda event_id: places[event_id])
    first.close()
    second.close()
