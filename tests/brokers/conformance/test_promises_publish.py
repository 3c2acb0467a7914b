"""Published is safe, whole, in order and on time."""

import os
import threading
import time

import pytest
from tests.brokers.conformance.consumer import Consumer, eventually
from tests.brokers.conformance.fork import in_fork
from tests.brokers.conformance.site import Site, ids, message, messages

from postroom.brokers.base import Broker, Delivery
from postroom.brokers.connect import connect
from postroom.errors import NotPublished
from postroom.wire.message import Headers, Message, new_id

LATE = 1.5


def test_what_is_published_can_be_seen_at_once_by_another_process(site: Site, broker: Broker, queue: str) -> None:
    if site.one_process:
        pytest.skip("memory is seen by one process alone")
    remote = site.mortal()
    assert not isinstance(remote, Consumer)
    for number in range(3):
        event = message(number)
        broker.publish(queue, [event], 0, 5)
        assert ids(remote.peek(queue, 10))[-1] == event.id
    remote.publish(queue, [last := message()])
    assert ids(broker.peek(queue, 10))[-1] == last.id


def test_what_is_published_survives_its_publisher(site: Site, queue: str) -> None:
    if site.one_process:
        pytest.skip("memory does not outlive its process")
    publisher = site.mortal()
    assert not isinstance(publisher, Consumer)
    publisher.publish(queue, sent := messages(20))
    publisher.crash()
    assert ids(site.consumer().take(queue, 20)) == ids(sent)


def test_first_in_first_out_with_one_consumer(site: Site, broker: Broker, queue: str) -> None:
    consumer = site.consumer()
    consumer.subscribe(queue, 10)
    sent = messages(200)
    got: list[Delivery] = []
    for start in range(0, 200, 40):
        broker.publish(queue, sent[start : start + 40], 0, 5)
    while len(got) < 200:
        batch = consumer.next(queue, 1)
        batch += [delivery for delivery in consumer.rest() if delivery.queue == queue]
        got += batch
        consumer.ack(batch)
    assert ids(got) == ids(sent)


def test_many_in_one_call_keep_their_order(site: Site, broker: Broker, queue: str) -> None:
    sent = messages(2000)
    broker.publish(queue, sent, 0, 10)
    assert ids(site.consumer().take(queue, 2000)) == ids(sent)


def test_the_error_names_exactly_the_unpublished(site: Site, broker: Broker, queue: str) -> None:
    if site.one_process:
        pytest.skip("memory takes any id")
    sent = messages(2500)
    sent[1500].id = "\ud800"  # which no file and no wire can carry
    with pytest.raises(NotPublished) as caught:
        broker.publish(queue, sent, 0, 10)
    assert list(caught.value.unpublished) == ids(sent[1000:])
    assert ids(site.consumer().take(queue, 1000)) == ids(sent[:1000])


def test_publishing_nothing_is_nothing(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, [], 0, 5)
    broker.declare(queue)
    assert broker.figures(queue).ready == 0


def test_body_and_headers_arrive_as_they_were_sent(site: Site, broker: Broker, queue: str) -> None:
    headers: Headers = {
        "text": "grüße, 世界 👋 \x00\n",
        "empty": "",
        "long": "ä" * 20_000,
        "one": 1,
        "zero": 0,
        "largest": 2**63 - 1,
        "smallest": -(2**63),
        "real": 0.1 + 0.2,
        "whole-real": 5.0,
        "tiny": 5e-324,
        "huge": 1.7976931348623157e308,
        "true": True,
        "false": False,
        "ключ": "name",
        "n" * 120: "long name",
    }
    body = bytes(range(256)) * 3
    sent = Message(new_id(), body, headers, 1_790_000_000.123456)
    broker.publish(queue, [sent], 0, 5)
    (peeked,) = broker.peek(queue, 1)
    (delivery,) = site.consumer().take(queue, 1)
    for got in (peeked, delivery.message):
        assert got.body == sent.body
        assert got.id == sent.id
        assert got.headers == headers
        types = {name: type(value) for name, value in got.headers.items()}
        assert types == {name: type(value) for name, value in headers.items()}
        assert got.published == pytest.approx(sent.published, abs=1e-6)
    assert delivery.queue == queue
    assert delivery.returns == 0 or site.counts_give_back


def test_an_empty_body_is_a_body(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, [Message("x", b"", {}, 1.0)], 0, 5)
    (delivery,) = site.consumer().take(queue, 1)
    assert (delivery.message.body, delivery.message.headers) == (b"", {})


def test_any_text_is_an_id_and_two_may_be_alike(site: Site, broker: Broker, queue: str) -> None:
    names = ["order 7", "same", "same", "ü" * 100, "same"]
    broker.publish(queue, [Message(name, b"%d" % place, {}, 1.0) for place, name in enumerate(names)], 0, 5)
    consumer = site.consumer()
    got = consumer.take(queue, 5)
    assert ids(got) == names
    assert [delivery.message.body for delivery in got] == [b"0", b"1", b"2", b"3", b"4"]
    consumer.ack(got[1:2])
    consumer.close()
    again = site.consumer().take(queue, 4)
    assert [delivery.message.body for delivery in again] == [b"0", b"2", b"3", b"4"]


def test_a_mebibyte_is_carried(site: Site, broker: Broker, queue: str) -> None:
    body = os.urandom(1 << 20)
    broker.publish(queue, [Message("large", body, {}, 1.0), message()], 0, 5)
    consumer = site.consumer()
    assert consumer.take(queue, 2)[0].message.body == body


def test_a_delayed_event_comes_on_time_and_delays_no_other(site: Site, broker: Broker, queue: str) -> None:
    consumer = site.consumer()
    consumer.subscribe(queue, 10)
    start = time.time()
    due = {}
    for delay in (2.0, 0.3, 1.0):
        event = message()
        due[event.id] = start + delay
        broker.publish(queue, [event], delay, 5)
    broker.publish(queue, [now := message()], 0, 5)
    sent_in = time.time() - start
    assert ids(consumer.next(queue, 1)) == [now.id]
    assert broker.delayed() >= 3
    for _ in range(3):
        (delivery,) = consumer.next(queue, 1)
        late = time.time() - due[delivery.message.id]
        assert late > -0.01, "too early"
        assert late < LATE + sent_in
        consumer.ack([delivery])


def test_a_waiting_consumer_is_served_at_once(site: Site, broker: Broker, queue: str) -> None:
    consumer = site.consumer()
    consumer.subscribe(queue, 1)
    waits = []
    for number in range(10):
        start = time.monotonic()
        broker.publish(queue, [message(number)], 0, 5)
        consumer.ack(consumer.next(queue, 1))
        waits.append(time.monotonic() - start)
    assert sorted(waits)[5] < 0.2


def test_many_threads_publish_through_one_broker(site: Site, broker: Broker, queue: str) -> None:
    sent: list[list[Message]] = [messages(25) for _ in range(8)]
    errors: list[Exception] = []

    def publish(mine: list[Message]) -> None:
        try:
            for event in mine:
                broker.publish(queue, [event], 0, 10)
        except NotPublished as error:
            errors.append(error)

    threads = [threading.Thread(target=publish, args=(mine,)) for mine in sent]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    got = ids(site.consumer().take(queue, 200))
    for mine in sent:
        wanted = set(ids(mine))
        assert [each for each in got if each in wanted] == ids(mine)  # each thread's in its order
    assert len(set(got)) == 200


def test_a_forked_child_publishes_while_its_parent_goes_on(site: Site, broker: Broker, queue: str) -> None:
    if site.one_process:
        pytest.skip("memory is seen by one process alone")
    broker.publish(queue, before := messages(2), 0, 5)  # the connection exists when the fork happens
    theirs, ours = messages(20), messages(20)

    def child() -> None:
        for event in theirs:
            broker.publish(queue, [event], 0, 5)

    with in_fork(child):
        for event in ours:
            broker.publish(queue, [event], 0, 5)
    broker.publish(queue, after := messages(2), 0, 5)
    got = ids(site.consumer().take(queue, 44))
    assert sorted(got) == sorted(ids(before + theirs + ours + after))


def test_a_closed_broker_connects_again(site: Site, broker: Broker, queue: str) -> None:
    for number in range(3):
        broker.publish(queue, [message(number)], 0, 5)
        broker.close()
        assert broker.figures(queue).ready == number + 1
        broker.close()
    broker.close()


def test_an_unreachable_broker_is_an_error_in_time(site: Site, queue: str) -> None:
    if site.unreachable is None:
        pytest.skip("memory is always there")
    broker = connect(site.unreachable)
    start = time.monotonic()
    with pytest.raises(NotPublished) as caught:
        broker.publish(queue, events := messages(2), 0, 1.0)
    assert time.monotonic() - start < 2.0
    assert list(caught.value.unpublished) == ids(events)
    said = str(caught.value)
    assert site.names_unreachable in said
    assert queue in said
    assert "\n" not in said
    assert "hushhush" not in said + repr(caught.value) + broker.url
    broker.close()


def test_delayed_events_are_counted(site: Site, broker: Broker, queue: str) -> None:
    before = broker.delayed()
    broker.publish(queue, messages(3), 1.2, 5)
    assert broker.delayed() >= before + 3 or not site.tells_delayed
    eventually(lambda: broker.figures(queue).ready == 3, "the delayed events are ready", 1.2 + LATE)
    assert broker.peek(queue, 10)
