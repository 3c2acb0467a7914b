"""A fleet whose broker is away, or was: it tries again, spread out, and is back soon."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.brokers.test_rabbitmq import Recorder
from tests.proxy import Proxy
from tests.rabbit import RabbitNode, free_ports

from postroom.brokers.rabbitmq import RabbitMQBroker
from postroom.errors import BrokerError, NotPublished
from postroom.wire.message import Message, new_id


class Door:
    """A port behind which nobody answers: it counts who knocks, and when."""

    def __init__(self) -> None:
        self.knocks: list[float] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        opening = asyncio.start_server(self._knocked, "127.0.0.1", 0, backlog=1000)
        self._server = asyncio.run_coroutine_threadsafe(opening, self._loop).result(5)
        self.port: int = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _knocked(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.knocks.append(time.monotonic())
        writer.transport.abort()

    def busiest(self, since: float) -> tuple[int, float]:
        """The most knocks in one of the seconds from then on, and the mean."""
        seconds = Counter(int(at - since) for at in self.knocks if at >= since)
        return max(seconds.values()), sum(seconds.values()) / len(seconds)


@pytest.fixture
def door() -> Iterator[Door]:
    its = Door()
    yield its
    its.close()


@pytest.mark.slow  # its bound is of a machine that does nothing else
def test_five_hundred_consumers_do_not_storm(door: Door) -> None:
    """Each tries twice in 5 s on average, once the first attempts are over; in no second do all come."""
    fleet = 500

    async def run() -> float:
        loop = asyncio.get_running_loop()
        broker = RabbitMQBroker(f"amqp://guest@127.0.0.1:{door.port}/", None)
        holds = [broker.hold(loop, Recorder(), f"worker {number}") for number in range(fleet)]
        opening = [loop.create_task(hold.open()) for hold in holds]
        await asyncio.sleep(4)
        steady = time.monotonic()
        await asyncio.sleep(3)
        assert not any(task.done() for task in opening)
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        return steady

    busiest, mean = door.busiest(asyncio.run(run()))
    assert 50 <= mean <= busiest <= 0.7 * fleet


def test_publishers_do_not_storm_either(door: Door) -> None:
    """Not even while something is to be published all the time."""
    brokers = [RabbitMQBroker(f"amqp://guest@127.0.0.1:{door.port}/", None) for _ in range(20)]
    over = time.monotonic() + 5

    def publish(broker: RabbitMQBroker) -> None:
        while time.monotonic() < over:
            with pytest.raises(NotPublished):
                broker.publish("q", [Message(new_id(), b"{}", {}, time.time())], 0, 1)

    threads = [threading.Thread(target=publish, args=(broker,)) for broker in brokers]
    since = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for broker in brokers:
        broker.close()
    busiest, _ = door.busiest(since + 1)
    assert busiest <= 2.5 * len(brokers)


@pytest.mark.rabbitmq
def test_a_fleet_is_back_within_ten_seconds(rabbit_node: RabbitNode) -> None:
    """Of the two hosts of the URL one is away all the time."""
    proxy = Proxy(rabbit_node.port)
    away = free_ports(1)[0]
    broker = RabbitMQBroker(f"amqp://guest:guest@127.0.0.1:{away},127.0.0.1:{proxy.port}/%2F", None)

    async def run() -> list[float]:
        loop = asyncio.get_running_loop()
        recorders = [Recorder() for _ in range(30)]
        holds = [broker.hold(loop, recorder, f"worker {n}") for n, recorder in enumerate(recorders)]
        await asyncio.gather(*(hold.open() for hold in holds))
        await asyncio.to_thread(proxy.cut)
        healed = time.monotonic()
        back = []
        for recorder in recorders:
            await recorder.until(lambda its=recorder: its.kinds() == ["lost", "regained"])  # type: ignore[misc]
            back.append(time.monotonic() - healed)
        await asyncio.gather(*(hold.close() for hold in holds))
        return back

    try:
        assert max(asyncio.run(run())) < 10
    finally:
        proxy.close()


def test_hosts_are_tried_in_random_order(door: Door) -> None:
    other = Door()
    try:
        firsts = set()
        for _ in range(20):
            before = len(door.knocks), len(other.knocks)
            broker = RabbitMQBroker(f"amqp://guest@127.0.0.1:{door.port},127.0.0.1:{other.port}/", None)
            with pytest.raises(
                BrokerError, match=f"127.0.0.1:{door.port}.*127.0.0.1:{other.port}|{other.port}.*{door.port}"
            ):
                broker.figures("q")
            assert (len(door.knocks), len(other.knocks)) == (before[0] + 1, before[1] + 1)
            firsts.add(door.knocks[-1] < other.knocks[-1])
        assert firsts == {True, False}
    finally:
        other.close()
