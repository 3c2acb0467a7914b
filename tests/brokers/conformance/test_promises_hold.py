"""What a consumer takes is its own until it is settled, and comes back if it never is."""

import time

import pytest
from tests.brokers.conformance.consumer import Consumer, eventually
from tests.brokers.conformance.site import Site, ids, message, messages

from postroom.brokers.base import Broker, Delivery
from postroom.wire import headers as past

NOISE = 0.5
"""Seconds that a busy machine may add."""


def left(site: Site, broker: Broker, queue: str, *consumers: Consumer) -> int:
    """How many events are in the queue when all consumers have gone."""
    for consumer in consumers:
        consumer.close()
    eventually(lambda: broker.figures(queue).consumers == 0, "no consumer is left")
    return broker.figures(queue).ready


def test_an_acknowledged_event_is_gone(site: Site, broker: Broker, queue: str) -> None:
    consumer = site.consumer()
    broker.publish(queue, messages(10), 0, 5)
    got = consumer.take(queue, 10)
    consumer.ack(got[:4])
    consumer.ack(got[6:])  # not a prefix
    consumer.close()
    assert ids(broker.peek(queue, 20)) == ids(got[4:6])


def test_acknowledging_twice_is_as_once(site: Site, broker: Broker, queue: str) -> None:
    consumer = site.consumer()
    broker.publish(queue, messages(3), 0, 5)
    got = consumer.take(queue, 3)
    consumer.ack(got[:1])
    consumer.ack([])
    broker.publish(queue, messages(1), 0, 5)
    assert len(consumer.next(queue, 1)) == 1
    assert left(site, broker, queue, consumer) == 3


def test_what_a_dead_consumer_held_comes_back_counted(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, sent := messages(5), 0, 5)
    dying = site.mortal()
    assert ids(got := dying.take(queue, 5)) == ids(sent)
    assert [delivery.returns for delivery in got] == [0] * 5
    heir = site.consumer()
    heir.subscribe(queue, 10)
    dying.crash()
    start = time.monotonic()
    back = heir.next(queue, 5)
    assert time.monotonic() - start < site.back_within + NOISE
    assert sorted(ids(back)) == sorted(ids(sent))
    assert ids(back) == ids(sent) or not site.keeps_place
    assert all(delivery.returns >= 1 for delivery in back)


def test_what_a_dead_consumer_had_acknowledged_stays_gone(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, sent := messages(6), 0, 5)
    dying = site.mortal()
    got = dying.take(queue, 3)
    dying.ack(got)
    after = dying.next(queue, 3)  # there is room, so the acknowledgement has arrived
    dying.crash()
    back = site.consumer().take(queue, 3)
    assert sorted(ids(back)) == sorted(ids(after)) == sorted(ids(sent[3:]))


def test_given_back_events_are_where_they_were(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, sent := messages(6), 0, 5)
    consumer = site.consumer()
    got = consumer.take(queue, 4)
    consumer.unsubscribe(queue)
    consumer.give_back(got)
    eventually(lambda: broker.figures(queue).ready == 6, "all are ready")
    again = consumer.take(queue, 6)
    assert ids(again) == ids(sent)
    if not site.counts_give_back:
        assert [delivery.returns for delivery in again] == [0] * 6


def test_closing_gives_back_what_is_in_hand(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, sent := messages(6), 0, 5)
    consumer = site.consumer()
    consumer.take(queue, 4)
    consumer.close()
    again = site.consumer().take(queue, 6, timeout=3)
    assert ids(again) == ids(sent)
    assert not any(delivery.returns for delivery in again) or site.counts_give_back


def test_a_rescheduled_event_is_replaced_by_one_copy(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, [first := message(1, mine="kept"), second := message(2)], 0, 5)
    consumer = site.consumer()
    (delivery,) = consumer.take(queue, 1)
    assert consumer.reschedule(delivery, past.rescheduled(delivery.message.headers, attempts=1), 0)
    consumer.subscribe(queue, 10)
    got = consumer.next(queue, 2)
    assert ids(got) == [second.id, first.id]  # behind those that waited
    copy = got[1]
    assert copy.message.headers == {"mine": "kept", past.GENERATION: 1, past.ATTEMPTS: 1}
    assert (copy.message.body, copy.message.published) == (first.body, first.published)
    assert copy.returns == 0
    assert not consumer.rest()
    assert left(site, broker, queue, consumer) == 2


def test_a_delayed_copy_comes_on_time_again_and_again(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, [message(0)], 0, 5)
    consumer = site.consumer()
    (delivery,) = consumer.take(queue, 1, prefetch=5)
    for generation in (1, 2, 3, 4):  # RabbitMQ would drop a message that it has seen go in a circle
        start = time.time()
        assert consumer.reschedule(delivery, past.rescheduled(delivery.message.headers), 0.4)
        safe = time.time()  # what delays need may have had to be made first
        (delivery,) = consumer.next(queue, 1)
        assert time.time() - start >= 0.39
        assert time.time() - safe < 0.4 + 1.5
        assert delivery.message.headers == {past.GENERATION: generation}
        assert delivery.returns == 0
    assert left(site, broker, queue, consumer) == 1


def test_a_returned_event_starts_anew_when_rescheduled(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, [message()], 0, 5)
    dying = site.mortal()
    dying.take(queue, 1)
    dying.crash()
    consumer = site.consumer()
    (delivery,) = consumer.take(queue, 1)
    assert delivery.returns >= 1
    assert consumer.reschedule(delivery, past.rescheduled(delivery.message.headers, suspect=True), 0)
    (copy,) = consumer.next(queue, 1)
    assert copy.returns == 0
    assert copy.message.headers[past.SUSPECT] is True


def test_a_buried_event_is_a_dead_letter(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, sent := messages(3), 0, 5)
    consumer = site.consumer()
    got = consumer.take(queue, 3)
    headers = past.rescheduled({"mine": 1}, died=1.5, reason="because", traceback="a\nb")
    assert consumer.bury(got[1], headers)
    assert broker.figures(queue).dead == 1
    assert left(site, broker, queue, consumer) == 2
    assert ids(broker.peek(queue, 5)) == [sent[0].id, sent[2].id]


def test_settling_what_is_lost_does_nothing(site: Site, broker: Broker, queue: str) -> None:
    if site.sever is None:
        pytest.skip("this broker has no connection that can be cut")
    broker.publish(queue, sent := messages(4), 0, 5)
    consumer = site.severable()
    old = consumer.take(queue, 4)
    site.sever()
    assert consumer.wait_lost()
    consumer.wait_regained()
    new = consumer.next(queue, 4)
    assert sorted(ids(new)) == sorted(ids(sent))
    assert all(delivery.returns >= 1 for delivery in new)
    consumer.ack(old[:1])
    consumer.give_back(old[1:2])
    assert not consumer.reschedule(old[2], past.rescheduled({}), 0)
    assert not consumer.bury(old[3], {})
    assert not consumer.rest()
    assert broker.figures(queue).dead == 0
    assert left(site, broker, queue, consumer) == 4


def test_a_cut_hold_takes_new_events_afterwards(site: Site, broker: Broker, queue: str) -> None:
    if site.sever is None:
        pytest.skip("this broker has no connection that can be cut")
    consumer = site.severable()
    consumer.subscribe(queue, 5)
    for cut in (1, 2):
        site.sever()
        consumer.wait_regained(cut)
        broker.publish(queue, [event := message()], 0, 5)
        got = consumer.next(queue, 1)
        while event.id not in ids(got):  # the first one again, if its acknowledgement was cut off
            assert cut == 2
            consumer.ack(got)
            got = consumer.next(queue, 1)
        consumer.ack(got)
    assert left(site, broker, queue, consumer) == 0


def test_no_more_than_the_prefetch_are_in_hand(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, messages(30), 0, 5)
    consumer = site.consumer()
    got = consumer.take(queue, 4, prefetch=4)
    assert in_ready(broker, queue, 26)
    assert not consumer.rest()
    consumer.ack(got)
    got = consumer.next(queue, 4)
    assert in_ready(broker, queue, 22)
    assert not consumer.rest()


def test_the_prefetch_can_be_changed(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, messages(60), 0, 5)
    consumer = site.consumer()
    got = consumer.take(queue, 2, prefetch=2)
    consumer.subscribe(queue, 20)
    got += consumer.next(queue, 10)
    assert in_ready(broker, queue, 38, 42)  # whether those in hand count against a new limit is the broker's
    got += consumer.rest()
    consumer.subscribe(queue, 1)
    consumer.ack(got)
    (one,) = consumer.next(queue, 1)
    assert not consumer.rest()
    consumer.ack([one])
    consumer.next(queue, 1)
    assert not consumer.rest()


def test_an_unsubscribed_queue_gives_no_more_and_takes_what_it_gave(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, messages(6), 0, 5)
    consumer = site.consumer()
    got = consumer.take(queue, 3)
    consumer.unsubscribe(queue)
    consumer.ack(got[:2])
    assert consumer.bury(got[2], {"reason": "test"})
    broker.publish(queue, messages(1), 0, 5)
    eventually(lambda: broker.figures(queue).ready == 4, "four are ready")
    assert not consumer.rest()
    assert len(consumer.take(queue, 4)) == 4


def test_one_hold_serves_several_queues(site: Site, broker: Broker, queue: str) -> None:
    names = [f"{queue}.{letter}" for letter in "abc"]
    consumer = site.consumer()
    for name in names:
        consumer.subscribe(name, 5)
        broker.publish(name, messages(3), 0, 5)
    for name in names:
        got = consumer.next(name, 3)
        assert [delivery.queue for delivery in got] == [name] * 3
        consumer.ack(got)
    for name in names:
        assert broker.figures(name).consumers == 1


def test_several_holds_share_a_queue_and_no_event(site: Site, broker: Broker, queue: str) -> None:
    consumers = [site.consumer() for _ in range(3)]
    for consumer in consumers:
        consumer.subscribe(queue, 5)
    sent = messages(120)
    got: list[Delivery] = []
    for event in sent:
        broker.publish(queue, [event], 0, 5)
    deadline = time.monotonic() + 15
    while len(got) < 120 and time.monotonic() < deadline:
        for consumer in consumers:
            batch = consumer.rest()
            consumer.ack(batch)
            got += batch
    assert sorted(ids(got)) == sorted(ids(sent))
    assert left(site, broker, queue, *consumers) == 0


def in_ready(broker: Broker, queue: str, least: int, most: int | None = None) -> bool:
    """Waits until the figures say that so many are ready."""
    eventually(lambda: least <= broker.figures(queue).ready <= (most or least), f"{least} are ready")
    return True


def test_nothing_is_owed_to_who_has_its_hands_full_or_is_not_to_take(site: Site, broker: Broker, queue: str) -> None:
    consumer = site.consumer()
    broker.publish(queue, messages(5), 0, 5)
    assert consumer.owed(queue) == 0
    got = consumer.take(queue, 2)
    assert consumer.owed(queue) == 0
    broker.pause(queue)
    consumer.wait_paused(queue)
    consumer.ack(got)
    assert consumer.owed(queue) == 0
    broker.resume(queue)
    got = consumer.next(queue, 2)
    consumer.unsubscribe(queue)
    assert consumer.owed(queue) == 0
    consumer.ack(got)
    assert left(site, broker, queue, consumer) == 1


def test_a_new_subscription_loses_nothing(site: Site, broker: Broker, queue: str) -> None:
    consumer = site.consumer()
    broker.publish(queue, sent := messages(4), 0, 5)
    old = consumer.take(queue, 2)
    consumer.resubscribe(queue)
    consumer.ack(old)  # of no effect where the new subscription has made them void
    seen: set[str] = set()

    def all_came() -> bool:
        consumer.ack(got := consumer.rest())
        seen.update(ids(got))
        return seen >= set(ids(sent[2:])) and broker.figures(queue).ready == 0

    eventually(all_came, "what was not settled comes")
    assert left(site, broker, queue, consumer) == 0
