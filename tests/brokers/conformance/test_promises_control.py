"""Pause, peek, purge, the dead letters and the figures."""

import threading
import time

import pytest
from tests.brokers.conformance.consumer import eventually
from tests.brokers.conformance.site import Site, ids, letters, message, messages, new_queue

from postroom.brokers.base import Broker, Fate, Figures
from postroom.policy.report import WorkerReport
from postroom.wire import headers as past
from postroom.wire.message import Message


def test_a_pause_stops_every_consumer_and_a_resume_starts_them(site: Site, broker: Broker, queue: str) -> None:
    consumers = [site.consumer(), site.mortal()]
    for consumer in consumers:
        consumer.subscribe(queue, 5)
    other = queue + ".other"
    consumers[0].subscribe(other, 5)
    eventually(lambda: broker.figures(queue).consumers == 2, "both consume")
    start = time.monotonic()
    broker.pause(queue)
    for consumer in consumers:
        consumer.wait_paused(queue)
    assert time.monotonic() - start < 2.5
    assert broker.figures(queue).paused
    broker.publish(queue, sent := messages(3), 0, 5)
    broker.publish(other, messages(1), 0, 5)
    assert len(consumers[0].next(other, 1)) == 1  # only the one queue is paused
    assert broker.figures(queue).ready == 3
    assert not [*consumers[0].rest(), *consumers[1].rest()]
    broker.resume(queue)
    assert not broker.figures(queue).paused
    for consumer in consumers:
        consumer.wait_resumed(queue)
    got: list[str] = []

    def all_there() -> bool:
        got.extend(ids(consumers[0].rest() + consumers[1].rest()))
        return len(got) == 3

    eventually(all_there, "the three are delivered")
    assert sorted(got) == sorted(ids(sent))


def test_a_pause_outlives_restarts_and_meets_new_consumers(site: Site, queue: str) -> None:
    first = site.broker()
    first.declare(queue)
    first.pause(queue)
    first.pause(queue)  # once more is the same
    first.close()
    second = site.broker()
    assert second.figures(queue).paused
    second.publish(queue, sent := messages(2), 0, 5)
    consumer = site.consumer(second)
    consumer.subscribe(queue, 5)
    consumer.wait_paused(queue)
    assert not consumer.rest()
    assert second.figures(queue).ready == 2
    second.resume(queue)
    second.resume(queue)
    consumer.wait_resumed(queue)
    assert ids(consumer.next(queue, 2)) == ids(sent)


def test_each_subscription_to_a_paused_queue_is_told(site: Site, broker: Broker, queue: str) -> None:
    broker.declare(queue)
    broker.pause(queue)
    consumer = site.consumer()
    for times in (1, 2):
        consumer.subscribe(queue, 5)
        consumer.wait_paused(queue, times)
        consumer.unsubscribe(queue)
    broker.resume(queue)
    broker.publish(queue, messages(1), 0, 5)
    assert len(consumer.take(queue, 1)) == 1


def test_what_is_in_hand_at_a_pause_can_be_settled(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, messages(5), 0, 5)
    consumer = site.consumer()
    got = consumer.take(queue, 4)
    broker.pause(queue)
    consumer.wait_paused(queue)
    consumer.ack(got[:1])
    consumer.give_back(got[1:2])
    assert consumer.reschedule(got[2], past.rescheduled({}), 0)
    assert consumer.bury(got[3], {})
    eventually(lambda: broker.figures(queue).ready == 3, "three wait: the one given back, the copy, the fifth")
    assert broker.figures(queue).dead == 1
    assert not consumer.rest()
    broker.resume(queue)
    assert len(consumer.next(queue, 3)) == 3


def test_peek_consumes_nothing_and_keeps_the_order(site: Site, broker: Broker, queue: str) -> None:
    broker.declare(queue)
    assert broker.peek(queue, 5) == []
    broker.publish(queue, sent := messages(20), 0, 5)
    for limit in (1, 5, 50):
        looked = broker.peek(queue, limit)
        assert ids(looked) == ids(sent[:limit])
        assert looked[0].body == sent[0].body
        eventually(lambda: broker.figures(queue).ready == 20, "all are ready")
    got = site.consumer().take(queue, 20)
    assert ids(got) == ids(sent)
    assert not any(delivery.returns for delivery in got) or site.counts_give_back


def test_purge_spares_what_is_in_hand(site: Site, broker: Broker, queue: str) -> None:
    broker.declare(queue)
    assert broker.purge(queue) == 0
    broker.publish(queue, messages(12), 0, 5)
    broker.publish(other := queue + ".other", messages(1), 0, 5)
    consumer = site.consumer()
    got = consumer.take(queue, 5)
    consumer.unsubscribe(queue)
    assert broker.purge(queue) == 7
    assert broker.figures(queue).ready == 0
    assert broker.figures(other).ready == 1
    consumer.ack(got[:2])
    consumer.close()
    eventually(lambda: broker.figures(queue).ready == 3, "those in hand came back")
    assert ids(broker.peek(queue, 9)) == ids(got[2:])


def test_purge_takes_delayed_events_where_it_can_tell_them(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, messages(3), 0.5, 5)
    broker.publish(queue, messages(2), 0, 5)
    if not site.tells_delayed:
        assert broker.purge(queue) == 2
        eventually(lambda: broker.figures(queue).ready == 3, "the delayed events come all the same")
        return
    assert broker.purge(queue) == 5
    broker.publish(queue, [last := message()], 0.6, 5)
    assert ids(site.consumer().take(queue, 1)) == [last.id]  # the delayed ones would have come before it


def bury(site: Site, broker: Broker, queue: str, events: list[Message]) -> None:
    """Makes dead letters of these, with headers as a death leaves them."""
    broker.publish(queue, events, 0, 10)
    consumer = site.consumer()
    for delivery in consumer.take(queue, len(events), prefetch=500 if len(events) > 500 else len(events)):
        headers = past.rescheduled(delivery.message.headers, attempts=3, died=1.5, reason="test", host="h")
        assert consumer.bury(delivery, headers)
    consumer.close()


def test_each_dead_letter_meets_its_fate(site: Site, broker: Broker, queue: str) -> None:
    broker.declare(queue)
    assert broker.sweep_dead(queue, lambda letter: Fate.DROP) == {Fate.KEEP: 0, Fate.REQUEUE: 0, Fate.DROP: 0}
    sent = [message(number, mine=number) for number in range(9)]
    bury(site, broker, queue, sent)
    assert broker.figures(queue).dead == 9
    seen: list[Message] = []
    fates = [Fate.KEEP, Fate.REQUEUE, Fate.DROP]

    def judge(letter: Message) -> Fate:
        seen.append(letter)
        return fates[len(seen) % 3]

    assert broker.sweep_dead(queue, judge) == {Fate.KEEP: 3, Fate.REQUEUE: 3, Fate.DROP: 3}
    assert ids(seen) == ids(sent)  # oldest first
    assert all(letter.headers[past.REASON] == "test" and letter.headers[past.ATTEMPTS] == 3 for letter in seen)
    eventually(lambda: broker.figures(queue).dead == 3, "the kept ones are there")
    got = site.consumer().take(queue, 3)
    assert ids(got) == ids(sent[0::3])
    for delivery in got:
        headers = delivery.message.headers
        assert headers == {"mine": headers["mine"], past.GENERATION: 2}  # its past is forgotten
        assert delivery.returns == 0
    assert ids(letters(broker, queue)) == ids(sent[2::3])
    eventually(lambda: broker.figures(queue).dead == 3, "the kept ones are there")
    assert broker.purge_dead(queue) == 3
    assert broker.figures(queue).dead == 0
    assert broker.purge_dead(queue) == 0


def test_a_sweep_survives_a_judge_that_raises(site: Site, broker: Broker, queue: str) -> None:
    bury(site, broker, queue, messages(3))

    def judge(letter: Message) -> Fate:
        raise RuntimeError("the judge is ill")

    with pytest.raises(RuntimeError, match="the judge is ill"):
        broker.sweep_dead(queue, judge)
    eventually(lambda: broker.figures(queue).dead == 3, "all letters are there")
    assert broker.sweep_dead(queue, lambda letter: Fate.REQUEUE)[Fate.REQUEUE] == 3
    assert broker.figures(queue).ready == 3


def test_two_thousand_dead_letters_are_swept(site: Site, broker: Broker, queue: str) -> None:
    count = 2000
    sent = messages(count)
    broker.publish(queue, sent, 0, 10)
    consumer = site.consumer()
    got = consumer.take(queue, count)
    consumer.bury_all(got, past.rescheduled({}, died=1.5, reason="test"))
    consumer.close()
    assert broker.figures(queue).dead == count
    number = iter(range(count))
    tally = broker.sweep_dead(queue, lambda letter: Fate.REQUEUE if next(number) % 2 else Fate.KEEP)
    assert tally == {Fate.KEEP: count // 2, Fate.REQUEUE: count // 2, Fate.DROP: 0}
    eventually(lambda: broker.figures(queue).dead == count // 2, "half of them are kept")
    assert broker.figures(queue).ready == count // 2
    assert broker.sweep_dead(queue, lambda letter: Fate.DROP)[Fate.DROP] == count // 2
    assert broker.figures(queue).dead == 0


def test_the_figures_tell_each_state(site: Site, broker: Broker, queue: str) -> None:
    broker.declare(queue)
    broker.declare(queue)
    empty = broker.figures(queue)
    assert (empty.ready, empty.dead, empty.consumers, empty.oldest, empty.paused) == (0, 0, 0, None, False)
    now = time.time()
    events = [Message(f"e{number}", b"1", {}, now) for number in range(7)]
    broker.publish(queue, events, 0, 5)
    broker.publish(queue, messages(2), 60, 5)
    consumer = site.consumer()
    got = consumer.take(queue, 3)
    assert consumer.bury(got[0], {})
    consumer.next(queue, 1)  # in the room that the buried one has left
    eventually(lambda: broker.figures(queue).ready == 3, "three are ready")
    figures = broker.figures(queue)
    assert figures == Figures(
        ready=3,
        in_hand=3 if site.tells_in_hand else None,
        delayed=2 if site.tells_delayed else None,
        dead=1,
        consumers=1,
        oldest=figures.oldest,
        paused=False,
    )
    assert figures.oldest is None or 0 <= figures.oldest < 10
    if site.tells_queues:
        assert queue in broker.queues()
        assert not [name for name in broker.queues() if name.endswith(".dead")]
    else:
        assert broker.queues() == []


def test_controls_may_be_called_from_any_thread(site: Site, broker: Broker, queue: str) -> None:
    broker.publish(queue, messages(5), 0, 5)
    results: list[int] = []

    def look() -> None:
        for _ in range(3):
            results.append(broker.figures(queue).ready)
            broker.publish(queue, messages(1), 0, 5)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 12
    assert broker.figures(queue).ready == 17


def test_consumers_tell_how_it_goes(site: Site) -> None:
    broker, queue, other = site.broker(), new_queue(), new_queue()
    consumers = [site.consumer(), site.consumer()]
    for number, each in enumerate(consumers):
        each.reports = [report(f"consumer {number}", queue), report(f"consumer {number}", other)]
        each.subscribe(queue, 1)
    broker.declare(queue)
    eventually(lambda: broker.figures(queue).consumers == 2, "both are subscribed")
    began = time.monotonic()
    told = broker.reports({queue: 2}, 10)
    assert time.monotonic() - began < 5
    assert sorted((each.consumer, each.queue) for each in told) == [("consumer 0", queue), ("consumer 1", queue)]
    assert told[0].mean == 0.25
    assert len(broker.reports({queue: 3}, 0.5)) == 2
    assert broker.reports({new_queue(): 1}, 0.2) == []


def report(consumer: str, queue: str) -> WorkerReport:
    return WorkerReport(consumer, queue, 10.0, 1, 0.25, 4.0, 40, 1, 0.5, None)
