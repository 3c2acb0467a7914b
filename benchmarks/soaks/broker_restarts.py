"""RabbitMQ is killed again and again while events are published and consumed, every second time while queues are
being declared.

Held if every event whose publish returned is consumed, or is in its new queue; if all work goes on by itself within
5 s of the broker's answering again; and if no event ran twice but those in hand at a kill.
"""

import random
import threading
import time

import pika
from msgspec import Struct
from tests.rabbit import RabbitNode

from benchmarks.fleet import Fleet
from benchmarks.result import Result, progress
from benchmarks.scene import Scene, scene, until
from postroom.brokers.base import Broker
from postroom.errors import BrokerError, PublishError
from postroom.wire.message import Message, new_id


def run(short: bool = False) -> Result:
    """30 kills; in the short form one, and no new queues.

    On one node of RabbitMQ 3.10 a queue that was declared some hundredths of a second before the kill can be empty
    afterwards, although its event was confirmed. Then ``lost_in_new_queues`` does not hold.
    """
    result = Result("broker-restarts")
    with scene("rabbitmq") as here:
        assert here.node is not None
        _soak(here, here.node, 1 if short else 30, result)
    return result


def _soak(here: Scene, node: RabbitNode, kills: int, result: Result) -> None:
    chance = random.Random(7)
    fleet, broker = Fleet(here), here.broker()
    outages: list[tuple[float, float]] = []
    back: list[tuple[float, float]] = []
    declared, odd = 0, []
    time.sleep(1)  # a queue younger than that is a case of its own: the ones below
    for number in range(kills):
        declarers = Declarers(broker, f"new-{number}") if number % 2 else None
        time.sleep(chance.uniform(0.5, 1.5))
        gone = time.time()
        node.kill()
        node.start()
        outages.append((gone, time.time()))
        back.append(fleet.resumed(60) or (60.0, 60.0))
        progress(f"kill {number + 1}: publishing again after {back[-1][0]} s, consuming after {back[-1][1]} s")
        if declarers is not None:
            fresh = declarers.end()
            declared += len(fresh)
            odd += _look(node, broker, fresh)
    leaderless = _leaderless(node)
    lost = [one.queue for one in odd if one.confirmed]
    broker.close()
    fleet.end(outages, result)
    result.note(kills=kills, back_after=back, new_queues=declared, leaderless=leaderless, without_their_event=lost)
    result.at_most("lost_in_new_queues", len(lost), 0)
    result.at_most("longest_back", max(max(both) for both in back), 5)


class Fresh(Struct):
    """A new queue and its first event. ``confirmed``: its publish returned."""

    queue: str
    event: str
    confirmed: bool


class Declarers:
    """Threads that publish one event after the other, each to a new queue, until one of them fails."""

    def __init__(self, broker: Broker, name: str) -> None:
        self._broker = broker
        self._fresh: list[Fresh] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._declare, args=(f"{name}-{n}",)) for n in range(3)]
        for thread in self._threads:
            thread.start()

    def _declare(self, name: str) -> None:
        number = 0
        while not self._over.is_set():
            message = Message(new_id(), b"{}", {}, time.time())
            one = Fresh(f"{name}-{number}", message.id, True)
            number += 1
            try:
                self._broker.publish(one.queue, [message], 0, 5)
            except PublishError:
                one.confirmed = False
                self._over.set()
            self._fresh.append(one)

    def end(self) -> list[Fresh]:
        """What they have made."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        return self._fresh


def _look(node: RabbitNode, broker: Broker, fresh: list[Fresh]) -> list[Fresh]:
    """Those whose event is not in its queue; the other queues are deleted."""
    odd = []
    with pika.BlockingConnection(pika.URLParameters(node.url)) as connection:
        channel = connection.channel()
        for one in fresh:
            if not until(lambda: _there(broker, one), 15 if one.confirmed else 0):  # noqa: B023
                progress(f"its event is not in the new queue {one}")
                odd.append(one)
                continue
            for name in (one.queue, f"{one.queue}.dead"):
                channel.queue_delete(name)
    return odd


def _there(broker: Broker, one: Fresh) -> bool:
    """Whether the queue has its event. After a kill it may be a moment without a leader, and seem empty."""
    try:
        return [message.id for message in broker.peek(one.queue, 10)] == [one.event]
    except BrokerError:
        return False


def _leaderless(node: RabbitNode) -> list[str]:
    """The quorum queues that have no leader."""
    rows = [line.split("\t") for line in node.control("list_queues", "name", "type", "leader").splitlines()]
    return [row[0] for row in rows if row[1] == "quorum" and not "".join(row[2:])]
