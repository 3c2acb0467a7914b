"""A request is an event whose publisher waits for a reply: the first that comes, and none that comes too late."""

import threading
import time
from concurrent.futures import Future
from itertools import count

import pytest
from tests.brokers.conformance.consumer import PATIENCE, Consumer, eventually
from tests.brokers.conformance.fork import in_fork
from tests.brokers.conformance.site import Site, message

from postroom.brokers.base import Broker, Delivery
from postroom.errors import NoReply, NotPublished
from postroom.wire import headers as h
from postroom.wire.message import Header
from postroom.wire.reply import Reply

_numbers = count(1)


def ask(broker: Broker, queue: str, seconds: float = 60.0, **headers: Header) -> "Future[Reply]":
    """A request whose payload is a number of its own."""
    reply: Future[Reply] = Future()
    asked = message(next(_numbers), **headers)
    asked.headers[h.DEADLINE] = time.time() + seconds
    broker.request(queue, asked, 5.0, reply)
    return reply


def answer(consumer: Consumer, delivery: Delivery) -> None:
    """Its own payload is the reply; then it is done."""
    consumer.reply(delivery, Reply({}, delivery.message.body))
    consumer.ack([delivery])


def test_a_reply_reaches_who_asked_for_it(site: Site, queue: str) -> None:
    one, two = site.broker(), site.broker()
    consumer = site.consumer()
    first, second = ask(one, queue, tenant="ada"), ask(two, queue)
    for delivery in reversed(consumer.take(queue, 2)):
        assert h.text(delivery.message.headers, h.REPLY_TO)
        if delivery.message.headers.get("tenant") == "ada":
            consumer.reply(delivery, Reply({h.ERROR: "shop.SoldOut"}, b'{"error":"shop.SoldOut"}'))
            consumer.ack([delivery])
        else:
            answer(consumer, delivery)
    assert first.result(PATIENCE) == Reply({h.ERROR: "shop.SoldOut"}, b'{"error":"shop.SoldOut"}')
    assert b"number" in second.result(PATIENCE).body
    assert consumer.rest() == []


def test_the_first_reply_counts_and_no_other_reaches_anybody(site: Site, broker: Broker, queue: str) -> None:
    consumer = site.consumer()
    reply = ask(broker, queue)
    (delivery,) = consumer.take(queue, 1, prefetch=5)
    consumer.reply(delivery, Reply({}, b"1"))
    consumer.reply(delivery, Reply({}, b"2"))
    assert reply.result(PATIENCE).body == b"1"
    later = ask(broker, queue)
    consumer.reply(delivery, Reply({}, b"3"))
    answer(consumer, *consumer.next(queue, 1))
    assert b"number" in later.result(PATIENCE).body


def test_who_gives_up_gets_nothing_and_disturbs_nobody(site: Site, broker: Broker, queue: str) -> None:
    consumer = site.consumer()
    given_up, kept = ask(broker, queue), ask(broker, queue)
    taken = consumer.take(queue, 2)
    assert given_up.cancel()
    for delivery in taken:
        answer(consumer, delivery)
    assert b"number" in kept.result(PATIENCE).body
    assert given_up.cancelled()


def test_a_request_that_is_rescheduled_can_still_be_answered(site: Site, broker: Broker, queue: str) -> None:
    consumer = site.consumer()
    reply = ask(broker, queue)
    (delivery,) = consumer.take(queue, 1, prefetch=5)
    assert consumer.reschedule(delivery, h.rescheduled(delivery.message.headers), 0.1)
    (again,) = consumer.next(queue, 1)
    answer(consumer, again)
    assert reply.result(PATIENCE).body == delivery.message.body


def test_many_wait_at_once_without_a_thread_each(site: Site, broker: Broker, queue: str) -> None:
    consumer = site.consumer()
    consumer.subscribe(queue, 100)
    answer_first = ask(broker, queue)
    answer(consumer, *consumer.next(queue, 1))
    answer_first.result(PATIENCE)
    threads = threading.active_count()
    replies = [ask(broker, queue) for _ in range(500)]
    assert threading.active_count() <= threads
    left = 500
    while left:
        for delivery in consumer.next(queue, min(left, 50)):
            answer(consumer, delivery)
            left -= 1
    assert len({reply.result(PATIENCE).body for reply in replies}) == 500


def test_there_is_a_limit_to_those_that_wait(
    site: Site, broker: Broker, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postroom.brokers.pending.MOST", 2)
    waiting = [ask(broker, queue), ask(broker, queue)]
    with pytest.raises(NotPublished, match="2 requests of this process wait for replies already"):
        ask(broker, queue)
    consumer = site.consumer()
    taken = consumer.take(queue, 2, prefetch=5)
    waiting.pop().cancel()
    waiting.append(ask(broker, queue))
    for delivery in [*taken, *consumer.next(queue, 1)]:
        answer(consumer, delivery)
    assert all(reply.result(PATIENCE) for reply in waiting)


def test_a_fork_asks_and_its_parent_goes_on(site: Site, broker: Broker, queue: str) -> None:
    if site.one_process:
        pytest.skip("another process sees nothing of memory")
    before = ask(broker, queue)

    def child() -> None:
        assert b"number" in ask(broker, queue).result(PATIENCE).body

    with in_fork(child):
        consumer = site.consumer()
        for delivery in consumer.take(queue, 2):
            answer(consumer, delivery)
        assert b"number" in before.result(PATIENCE).body
    after = ask(broker, queue)
    answer(consumer, *consumer.next(queue, 1))
    assert b"number" in after.result(PATIENCE).body


def test_a_closed_broker_leaves_nobody_waiting(site: Site, broker: Broker, queue: str) -> None:
    if site.one_process:
        pytest.skip("there is nothing to disconnect")
    consumer = site.consumer()
    reply = ask(broker, queue)
    (delivery,) = consumer.take(queue, 1, prefetch=5)
    broker.close()
    with pytest.raises(NoReply, match="this program closed the broker"):
        reply.result(PATIENCE)
    answer(consumer, delivery)
    again = ask(broker, queue)
    answer(consumer, *consumer.next(queue, 1))
    assert b"number" in again.result(PATIENCE).body


def test_a_reply_to_nobody_is_no_trouble(site: Site, queue: str) -> None:
    """The caller's process is gone."""
    if site.one_process:
        pytest.skip("no other process can ask")
    consumer = site.consumer()
    gone = site.broker()
    ask(gone, queue)
    (delivery,) = consumer.take(queue, 1)
    gone.close()
    answer(consumer, delivery)
    reply = ask(site.broker(), queue)
    answer(consumer, *consumer.next(queue, 1))
    assert reply.result(PATIENCE)
    eventually(lambda: site.broker().figures(queue).ready == 0, "the queue is empty")
