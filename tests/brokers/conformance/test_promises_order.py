"""Events with a key are had in the order of their publish, and by one consumer at a time."""

import time

from tests.brokers.conformance.consumer import Consumer, eventually
from tests.brokers.conformance.site import Site, ids, letters

from postroom.brokers.base import Broker, Delivery, Fate
from postroom.wire import headers as past
from postroom.wire.message import Message, new_id


def keyed(*keys: str) -> list[Message]:
    return [Message(new_id(), b'{"key": "%s"}' % key.encode(), {past.KEY: key}, time.time()) for key in keys]


def of(key: str, events: list[Message] | list[Delivery]) -> list[str]:
    """The ids of the events of one key."""
    carried = [event.message if isinstance(event, Delivery) else event for event in events]
    return [message.id for message in carried if message.headers[past.KEY] == key]


def consumed(consumer: Consumer, queue: str, count: int) -> list[Delivery]:
    """So many events, each acknowledged when it has come."""
    got: list[Delivery] = []
    while len(got) < count:
        got += (new := consumer.next(queue, 1))
        consumer.ack(new)
    return got


def test_events_of_a_key_come_in_order(site: Site, broker: Broker, queue: str) -> None:
    sent = keyed(*"abcab" * 20)
    broker.publish(queue, sent[:50], 0, 5)
    consumer = site.consumer()
    consumer.subscribe_ordered(queue, 10)
    broker.publish(queue, sent[50:], 0, 5)
    got = consumed(consumer, queue, 100)
    for key in "abc":
        assert of(key, got) == of(key, sent)
    eventually(lambda: broker.figures(queue).ready == 0, "nothing waits")


def test_while_one_consumer_has_a_key_no_other_gets_its_followers(site: Site, broker: Broker, queue: str) -> None:
    first, second = site.consumer(), site.consumer()
    broker.publish(queue, sent := keyed("a", "a", "a"), 0, 5)
    first.subscribe_ordered(queue, 1)
    (held,) = first.next(queue, 1)
    assert held.message.id == sent[0].id
    second.subscribe_ordered(queue, 10)
    time.sleep(0.3)
    assert second.rest() == []
    first.ack([held])
    first.close()
    assert ids(consumed(second, queue, 2)) == ids(sent[1:])


def test_what_a_dead_consumer_held_comes_before_its_followers(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, sent := keyed("a", "a", "b", "a"), 0, 5)
    dying = site.mortal()
    dying.subscribe_ordered(queue, 1)
    dying.next(queue, 1)
    heir = site.consumer()
    heir.subscribe_ordered(queue, 10)
    dying.crash()
    got = consumed(heir, queue, 4)
    assert of("a", got) == of("a", sent)


def test_what_is_given_back_comes_before_its_followers(site: Site, broker: Broker, queue: str) -> None:
    consumer = site.consumer()
    broker.publish(queue, sent := keyed("a", "a"), 0, 5)
    consumer.subscribe_ordered(queue, 1)
    (held,) = consumer.next(queue, 1)
    consumer.unsubscribe(queue)
    consumer.give_back([held, *consumer.rest()])
    consumer.subscribe_ordered(queue, 10)
    assert ids(consumed(consumer, queue, 2)) == ids(sent)


def test_a_buried_event_lets_its_followers_pass(site: Site, broker: Broker, queue: str) -> None:
    consumer = site.consumer()
    broker.publish(queue, sent := keyed("a", "a"), 0, 5)
    consumer.subscribe_ordered(queue, 1)
    (bad,) = consumer.next(queue, 1)
    assert consumer.bury(bad, past.rescheduled(bad.message.headers, reason="it is bad"))
    assert ids(consumed(consumer, queue, 1)) == ids(sent[1:])
    assert ids(letters(broker, queue)) == ids(sent[:1])
    consumer.close()
    assert broker.sweep_dead(queue, lambda _: Fate.REQUEUE)[Fate.REQUEUE] == 1
    again = site.consumer()
    again.subscribe_ordered(queue, 1)
    (revived,) = again.next(queue, 1)
    assert revived.message.id == sent[0].id
    assert past.key(revived.message.headers) == "a"


def test_a_pause_holds_for_events_with_keys(site: Site, broker: Broker, queue: str) -> None:
    broker.declare(queue)
    broker.pause(queue)
    consumer = site.consumer()
    consumer.subscribe_ordered(queue, 10)
    consumer.wait_paused(queue)
    broker.publish(queue, sent := keyed("a", "a"), 0, 5)
    time.sleep(0.3)
    assert consumer.rest() == []
    broker.resume(queue)
    assert ids(consumed(consumer, queue, 2)) == ids(sent)


def test_a_purge_takes_what_waits_of_all_keys(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, keyed(*"abcdefgh" * 5), 0, 5)
    assert broker.figures(queue).ready == 40
    assert broker.purge(queue) == 40
    assert broker.figures(queue).ready == 0
    broker.publish(queue, sent := keyed("a", "a"), 0, 5)
    consumer = site.consumer()
    consumer.subscribe_ordered(queue, 10)
    assert ids(consumed(consumer, queue, 2)) == ids(sent)


def test_other_keys_are_had_by_others(site: Site, broker: Broker, queue: str) -> None:
    keys = [str(number) for number in range(40)]
    first, second = site.consumer(), site.consumer()
    first.subscribe_ordered(queue, 1)
    second.subscribe_ordered(queue, 1)
    seen: dict[Consumer, int] = {first: 0, second: 0}

    def both_have_had_some() -> bool:
        broker.publish(queue, keyed(*keys), 0, 5)
        for consumer in seen:
            got = consumer.rest()
            seen[consumer] += len(got)
            consumer.ack(got)
        return all(seen.values())

    eventually(both_have_had_some, "both consumers have had events")
