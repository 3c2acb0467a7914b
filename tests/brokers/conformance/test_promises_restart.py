"""All that is promised outlives every process."""

import time

import pytest
from tests.brokers.conformance.consumer import eventually
from tests.brokers.conformance.site import Site, ids, letters, message, messages

from postroom.brokers.base import Broker


class Estate:
    """One event in each state, and a pause, of two queues; ``check`` finds them again."""

    def __init__(self, site: Site, broker: Broker, queue: str) -> None:
        self.site, self.queue, self.idle = site, queue, queue + ".idle"
        broker.publish(queue, events := messages(4), 0, 5)
        self.buried, self.held, *self.ready = events
        broker.publish(queue, [delayed := message()], 2.5, 5)
        self.delayed = delayed
        self.due = time.time() + 2.4
        broker.declare(self.idle)
        broker.pause(self.idle)
        self.consumer = site.mortal()
        first, _ = self.consumer.take(queue, 2)
        assert self.consumer.bury(first, {"reason": "test"})
        self.consumer.next(queue, 1)  # it came into the room of the buried one, which thus has left the queue

    def check(self, broker: Broker) -> None:
        assert broker.figures(self.idle).paused
        assert not broker.figures(self.queue).paused
        eventually(lambda: broker.figures(self.queue).ready >= 3, "the events are ready, with the one that was held")
        consumer = self.site.consumer()
        got = ids(consumer.take(self.queue, 4, prefetch=10))
        assert time.time() >= self.due
        assert sorted(got) == sorted(ids([self.held, *self.ready, self.delayed]))
        dead = [(letter.id, letter.headers) for letter in letters(broker, self.queue)]
        assert dead == [(self.buried.id, {"reason": "test"})]


def test_everything_outlives_the_processes(site: Site, queue: str) -> None:
    broker = site.broker()
    estate = Estate(site, broker, queue)
    broker.close()
    estate.consumer.crash()
    estate.check(site.broker())


@pytest.mark.slow
def test_everything_outlives_a_killed_server(site: Site, broker: Broker, queue: str) -> None:
    if site.kill_server is None:
        pytest.skip("this broker has no server")
    estate = Estate(site, broker, queue)
    consumer = site.consumer()
    consumer.subscribe(queue + ".other", 5)
    site.kill_server()
    assert consumer.wait_lost()
    consumer.wait_regained()
    estate.consumer.crash()  # it had what it held back, and holds it again
    estate.check(broker)
    broker.publish(queue + ".other", [event := message()], 0, 5)
    assert ids(consumer.next(queue + ".other", 1)) == [event.id]
