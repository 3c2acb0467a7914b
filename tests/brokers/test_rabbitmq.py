"""What is RabbitMQ's own: its wire, its failures, its connection. The contract itself is tested for all brokers."""

import asyncio
import importlib
import itertools
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pika
import pytest
from tests.rabbit import RabbitNode, free_ports

from postroom.brokers.base import Delivery, Fate
from postroom.brokers.rabbitmq import RabbitMQBroker, address, delays, messages, tables
from postroom.brokers.rabbitmq.acks import Acks
from postroom.brokers.rabbitmq.consumer import RabbitMQHold
from postroom.errors import BrokerError, NotPublished, PublishUnknown, SettingsError, Unsupported
from postroom.policy.report import WorkerReport
from postroom.wire.message import Headers, Message, new_id

pytestmark = pytest.mark.rabbitmq

numbers = itertools.count()


@pytest.fixture
def queue() -> str:
    return f"test-{os.getpid()}-{next(numbers)}"


@pytest.fixture
def broker(rabbit_node: RabbitNode) -> Iterator[RabbitMQBroker]:
    broker = RabbitMQBroker(rabbit_node.url, None)
    yield broker
    broker.close()


def message(body: bytes = b"{}", **headers: Any) -> Message:
    return Message(new_id(), body, headers, time.time())


class Recorder:
    """A listener that keeps what it is told; ``act`` is called with each list of deliveries."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.events: list[tuple[str, str]] = []
        self.act: Callable[[list[Delivery]], None] = lambda _: None
        self._news = asyncio.Event()

    def delivered(self, deliveries: list[Delivery]) -> None:
        self.deliveries += deliveries
        self.act(deliveries)
        self._news.set()

    def lost(self, why: str) -> None:
        self._note("lost", why)

    def regained(self) -> None:
        self._note("regained", "")

    def voided(self, queue: str, why: str, outlasted: bool) -> None:
        self._note("voided", queue)

    def paused(self, queue: str) -> None:
        self._note("paused", queue)

    def recalled(self, queue: str, which: Callable[[Delivery], bool]) -> None:
        self._note("recalled", queue)

    def reports(self) -> list[WorkerReport]:
        return []

    def resumed(self, queue: str) -> None:
        self._note("resumed", queue)

    def _note(self, kind: str, text: str) -> None:
        self.events.append((kind, text))
        self._news.set()

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]

    async def until(self, condition: Callable[[], bool], timeout: float = 15) -> None:
        async with asyncio.timeout(timeout):
            while not condition():
                self._news.clear()
                await self._news.wait()


def consuming(broker: RabbitMQBroker, body: Callable[[RabbitMQHold, Recorder], Awaitable[None]]) -> None:
    """Runs ``body`` with an open hold and its listener."""

    async def run() -> None:
        recorder = Recorder()
        hold = broker.hold(asyncio.get_running_loop(), recorder, "tester")
        await hold.open()
        try:
            await body(hold, recorder)  # type: ignore[arg-type]
        finally:
            started = time.monotonic()
            await hold.close()
            assert time.monotonic() - started < 5

    asyncio.run(run())


async def eventually(condition: Callable[[], bool], timeout: float = 10) -> None:
    """Awaits what only the broker knows, by asking it."""
    async with asyncio.timeout(timeout):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.05)


# Without a broker


def test_headers_travel_as_they_are() -> None:
    headers: Headers = {"a": "ä", "b": True, "c": -(2**63), "d": 1.25, "e": "x" * 70_000, "": 0}
    sent = Message("id", b"[]", headers, 1795507347.25)
    received, returns = messages.decode(messages.encode(sent), sent.body)
    assert (received, returns) == (sent, 0)
    assert {name: type(value) for name, value in received.headers.items()} == {
        name: type(value) for name, value in headers.items()
    }


def test_foreign_properties_become_what_headers_may_be() -> None:
    table: dict[str, Any] = {
        "list": [1, [2]],
        "table": {"a": {"b": 1}},
        "null": None,
        "text": "t",
        "x-death": [{"count": 1}],
        "x-first-death-queue": "q",
        "x-delivery-count": 3,
        "x-own": "kept",
    }
    properties = pika.BasicProperties(headers=table, priority=3, correlation_id="c", reply_to="r", expiration="5000")
    received, returns = messages.decode(b"".join(properties.encode()), b"")
    asked = {"postroom-correlation-id": "c", "postroom-reply-to": "r"}
    assert received.headers == {"text": "t", "x-own": "kept", **asked}
    assert returns == 3
    assert len(received.id) == 26
    assert abs(received.published - time.time()) < 5


@pytest.mark.parametrize(
    "garbage", [b"", b"\xff\xff", b"\x20\x00\xff\xff\xff\xff", b"\x20\x00\x00\x00\x00\x03\x01aZ"]
)
def test_properties_that_make_no_sense_count_as_absent(garbage: bytes) -> None:
    received, returns = messages.decode(garbage, b"body")
    assert (received.headers, received.body, returns) == ({}, b"body", 0)


def test_what_amqp_cannot_carry_is_refused_with_a_reason() -> None:
    for headers, word in (({"a": 2**63}, "64 bits"), ({"n" * 256: 1}, "255 bytes"), ({"CC": "a"}, "reserved")):
        with pytest.raises(ValueError, match=word):
            messages.encode(message(**headers))
    with pytest.raises(ValueError, match="headers take"):
        messages.encode(message(a="x" * 200_000))
    shortened = messages.encode_shortened(message(), {"a": "x" * 200_000, "b": "y"})
    assert messages.decode(shortened, b"")[0].headers["b"] == "y"


def test_tables_are_read_by_pika() -> None:
    pika_data: Any = importlib.import_module("pika.data")
    encoded = tables.encode({"a": "b", "c": 2**40, "d": True})
    assert pika_data.decode_table(encoded, 0)[0] == {"a": "b", "c": 2**40, "d": True}


def test_a_burial_is_not_stopped_by_a_strangers_headers() -> None:
    strange: dict[str, str | int | float | bool] = {f"h{number}": "x" * 20 for number in range(10_000)}
    message = Message("id", b"{}", strange, 0.0)
    encoded = messages.encode_shortened(message, {**strange, "postroom-reason": "y" * 200_000})
    kept, _ = messages.decode(encoded, b"{}")
    assert str(kept.headers["postroom-reason"]).startswith("yyy")


def test_urls() -> None:
    parsed = address.parse("amqp://ada%40x:p@one,two:5673,[::1]:7/my%2Fhost")
    assert parsed == address.Address((("one", 5672), ("two", 5673), ("::1", 7)), "ada@x", "my/host", None, 15)
    assert address.parse("amqp://h?heartbeat=2").heartbeat == 2
    assert address.parse("amqps://h").tls == {}
    assert address.parse("amqps://h").hosts == (("h", 5671),)
    assert address.parse("amqp://h/").vhost == "/"
    for wrong in (
        "amqp://h?cafile=/x",
        "amqps://h?cafle=/x",
        "amqp://h?heartbeat=0",
        "amqps://h?cafile=x",
        "amqp://h:x",
        "amqp://",
    ):
        with pytest.raises(SettingsError):
            address.parse(wrong)


def test_acks_go_together_where_they_can() -> None:
    acks = Acks()
    acks.delivered([1, 2, 3])
    acks.delivered([4, 5])
    acks.finish([2], 0.0)
    acks.finish([4], 0.04)
    assert acks.take(0.04) == (None, [])
    assert acks.take(0.06) == (None, [2])
    acks.finish([1], 0.06)
    assert acks.take(0.06) == (1, [])
    acks.drop(3)
    assert acks.take(0.06) == (4, [])
    acks.finish([5, 2], 0.07)
    assert acks.next_due() == pytest.approx(0.12)
    assert acks.take(0.07) == (5, [])
    assert (acks.in_hand, acks.unsent, acks.next_due()) == (0, 0, None)


def test_the_way_through_the_ladder() -> None:
    assert delays.whole_seconds(0.01) == 1
    exchange, key = delays.way_in("a.b", 5)
    assert exchange == "postroom.delay.02"
    assert key == ".".join("0" * 22 + "101") + ".a.b"
    assert delays.due_binding("a.b") == "*." * 25 + "a.b"
    with pytest.raises(Unsupported, match="388 days"):
        delays.whole_seconds(2**25)


# Publishing


def test_any_amqp_program_can_read_a_publication(broker: RabbitMQBroker, rabbit_node: RabbitNode, queue: str) -> None:
    sent = message(b'{"a":1}', text="t", flag=True, count=7)
    broker.publish(queue, [sent], 0, 5)
    with pika.BlockingConnection(pika.URLParameters(rabbit_node.url)) as connection:
        found: tuple[Any, Any, Any] = connection.channel().basic_get(queue, auto_ack=True)
    _, properties, body = found
    assert body == b'{"a":1}'
    assert properties.content_type == "application/json"
    assert properties.delivery_mode == 2
    assert properties.message_id == sent.id
    assert properties.timestamp == int(sent.published)
    assert properties.headers["text"] == "t"
    assert properties.headers["count"] == 7


def test_any_amqp_program_can_publish(broker: RabbitMQBroker, rabbit_node: RabbitNode, queue: str) -> None:
    broker.declare(queue)
    with pika.BlockingConnection(pika.URLParameters(rabbit_node.url)) as connection:
        connection.channel().basic_publish("", queue, b"plain")

    async def body(hold: RabbitMQHold, recorder: Recorder) -> None:
        hold.subscribe(queue, 10)
        await recorder.until(lambda: len(recorder.deliveries) == 1)
        delivery = recorder.deliveries[0]
        assert (delivery.message.body, delivery.message.headers, delivery.returns) == (b"plain", {}, 0)
        hold.ack(recorder.deliveries)

    consuming(broker, body)
    assert broker.figures(queue).ready == 0


def test_a_large_body_travels_in_several_frames(broker: RabbitMQBroker, queue: str) -> None:
    bodies = [os.urandom(size) for size in (0, 1, 131_063, 131_064, 131_065, 1_000_000)]
    broker.publish(queue, [message(body) for body in bodies], 0, 10)
    assert [found.body for found in broker.peek(queue, 10)] == bodies


def test_the_largest_body_travels_and_a_larger_one_is_refused(broker: RabbitMQBroker, queue: str) -> None:
    """RabbitMQ 3 would take it, and RabbitMQ 4 leave it unknown."""
    broker.publish(queue, [message(bytes(16 * 2**20))], 0, 20)
    with pytest.raises(NotPublished, match=r"17,825,792 bytes, and RabbitMQ takes 16,777,216 at most"):
        broker.publish(queue, [message(), message(bytes(17 * 2**20))], 0, 20)
    assert broker.purge(queue) == 1


def test_what_a_full_queue_refuses_is_not_published(
    broker: RabbitMQBroker, rabbit_node: RabbitNode, queue: str
) -> None:
    def publish_often() -> None:
        for _ in range(20):  # RabbitMQ takes a few beyond the limit
            broker.publish(queue, [message() for _ in range(5)], 0, 5)

    broker.publish(queue, [message()], 0, 5)
    rabbit_node.control("set_policy", queue, f"^{queue}$", '{"max-length": 1}', "--apply-to", "queues")
    try:
        with pytest.raises(NotPublished, match="refused it: the queue is full"):
            publish_often()
    finally:
        rabbit_node.control("clear_policy", queue)
    broker.purge(queue)
    broker.publish(queue, [message() for _ in range(50)], 0, 5)
    assert broker.purge(queue) == 50


def test_a_deleted_queue_is_declared_again(broker: RabbitMQBroker, rabbit_node: RabbitNode, queue: str) -> None:
    broker.publish(queue, [message()], 0, 5)
    with pika.BlockingConnection(pika.URLParameters(rabbit_node.url)) as connection:
        connection.channel().queue_delete(queue)
    sent = [message(b"%d" % number) for number in range(20)]
    broker.publish(queue, sent, 0, 5)
    assert [found.id for found in broker.peek(queue, 50)] == [each.id for each in sent]


def test_a_queue_of_another_kind_is_refused(broker: RabbitMQBroker, rabbit_node: RabbitNode, queue: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(rabbit_node.url)) as connection:
        connection.channel().queue_declare(queue, durable=True)
    with pytest.raises(NotPublished, match="exists in RabbitMQ with other properties"):
        broker.publish(queue, [message()], 0, 5)
    with pytest.raises(BrokerError, match="exists in RabbitMQ with other properties"):
        broker.declare(queue)
    broker.publish(queue + "-other", [message()], 0, 5)


def test_errors_say_what_is_wrong(rabbit_node: RabbitNode, queue: str) -> None:
    cases = (
        (rabbit_node.url.replace("guest:guest", "guest:secret-word"), "login of user 'guest' was refused"),
        (rabbit_node.url.replace("%2F", "nowhere"), "virtual host 'nowhere' does not exist"),
        ("amqp://no-such-host.invalid", "address cannot be found"),
        (f"amqp://127.0.0.1:{free_ports(1)[0]}", "Connection refused"),
    )
    for url, sentence in cases:
        broken = RabbitMQBroker(url, None)
        sent = message()
        with pytest.raises(NotPublished, match=sentence) as caught:
            broken.publish(queue, [sent], 0, 0.5)
        assert caught.value.unpublished == (sent.id,)
        assert "secret-word" not in str(caught.value) + broken.url
        with pytest.raises(BrokerError, match=sentence):
            broken.figures(queue)
        broken.close()


def test_a_hold_refuses_what_will_not_mend_itself(rabbit_node: RabbitNode) -> None:
    async def run(url: str) -> None:
        hold = RabbitMQBroker(url, None).hold(asyncio.get_running_loop(), Recorder(), "tester")
        with pytest.raises(BrokerError, match=r"refused|does not exist|cannot be found"):
            await hold.open()

    for url in (
        rabbit_node.url.replace("guest:guest", "guest:wrong"),
        rabbit_node.url.replace("%2F", "nowhere"),
        "amqp://no-such-host.invalid",
    ):
        asyncio.run(run(url))


def test_many_threads_share_one_connection(broker: RabbitMQBroker, rabbit_node: RabbitNode, queue: str) -> None:
    def publish() -> None:
        for _ in range(50):
            broker.publish(queue, [message()], 0, 10)

    threads = [threading.Thread(target=publish) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rabbit_node.control("list_connections", "client_properties").count(" publisher") == 1
    assert broker.purge(queue) == 32 * 50


def test_a_fork_publishes_by_a_connection_of_its_own(broker: RabbitMQBroker, queue: str) -> None:
    broker.publish(queue, [message()], 0, 5)
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            try:
                for _ in range(20):
                    broker.publish(queue, [message()], 0, 5)
            except BaseException:  # noqa: BLE001 the child must not return into pytest
                os._exit(1)
            os._exit(0)
        children.append(child)
    for _ in range(20):
        broker.publish(queue, [message()], 0, 5)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    broker.publish(queue, [message()], 0, 5)
    assert broker.purge(queue) == 1 + 3 * 20 + 20 + 1


def test_a_program_that_published_ends_at_once(rabbit_node: RabbitNode, queue: str) -> None:
    program = (
        "import sys, time, threading\n"
        "from postroom.brokers.rabbitmq import RabbitMQBroker\n"
        "from postroom.wire.message import Headers, Message, new_id\n"
        "broker = RabbitMQBroker(sys.argv[1], None)\n"
        "broker.publish(sys.argv[2], [Message(new_id(), b'{}', {}, time.time())], 0, 5)\n"
        "print(time.time())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, rabbit_node.url, queue], capture_output=True, text=True, timeout=20
    )
    assert done.stderr == ""
    assert time.time() - float(done.stdout) < 1


def test_a_silent_broker_leaves_it_unknown(broker: RabbitMQBroker, rabbit_node: RabbitNode, queue: str) -> None:
    broker.publish(queue, [message()], 0, 5)
    rabbit_node.freeze()
    try:
        started = time.monotonic()
        with pytest.raises(PublishUnknown, match=r"no confirm within 0\.5 seconds"):
            broker.publish(queue, [message()], 0, 0.5)
        assert time.monotonic() - started < 1
    finally:
        rabbit_node.thaw()
    broker.publish(queue, [message()], 0, 5)
    assert broker.purge(queue) == 3


# Consuming


def test_prefetch_can_be_changed(broker: RabbitMQBroker, queue: str) -> None:
    broker.publish(queue, [message() for _ in range(100)], 0, 5)

    async def body(hold: RabbitMQHold, recorder: Recorder) -> None:
        hold.subscribe(queue, 5)
        await recorder.until(lambda: len(recorder.deliveries) == 5)
        hold.subscribe(queue, 20)  # 5 in hand, at most 20 more
        await recorder.until(lambda: len(recorder.deliveries) == 25)
        hold.subscribe(queue, 2)
        await recorder.until(lambda: len(recorder.deliveries) == 27)
        hold.ack(recorder.deliveries[:25])
        await asyncio.sleep(0.2)
        assert len(recorder.deliveries) == 27
        hold.unsubscribe(queue)
        hold.give_back(recorder.deliveries[25:])
        await eventually(lambda: broker.figures(queue).ready == 75)
        hold.subscribe(queue, 100)
        await recorder.until(lambda: len(recorder.deliveries) == 102)
        again = recorder.deliveries[27:29]
        assert [each.message.id for each in again] == [each.message.id for each in recorder.deliveries[25:27]]
        assert "lost" not in recorder.kinds()

    consuming(broker, body)


def test_prefetch_changes_under_load(broker: RabbitMQBroker, queue: str) -> None:
    broker.publish(queue, [message() for _ in range(5000)], 0, 10)

    async def body(hold: RabbitMQHold, recorder: Recorder) -> None:
        recorder.act = hold.ack
        for prefetch in itertools.cycle((1, 3, 50, 10, 500, 100)):
            hold.subscribe(queue, prefetch)
            await asyncio.sleep(0.005)
            if len(recorder.deliveries) >= 5000:
                break
        assert len({each.message.id for each in recorder.deliveries}) == 5000
        assert [each.returns for each in recorder.deliveries] == [0] * 5000
        assert recorder.events == []

    consuming(broker, body)
    assert broker.figures(queue).ready == 0


def test_delays_do_not_hold_each_other_up(broker: RabbitMQBroker, queue: str) -> None:
    seconds = [5, 1, 3, 2, 1, 5, 2, 3, 0.2]
    broker.publish(queue, [message()], 1, 10)  # makes the ladder
    due: dict[str, float] = {}

    async def body(hold: RabbitMQHold, recorder: Recorder) -> None:
        late: list[float] = []

        def act(deliveries: list[Delivery]) -> None:
            for each in deliveries:
                if each.message.id in due:
                    late.append(time.time() - due[each.message.id])
            hold.ack(deliveries)

        recorder.act = act
        hold.subscribe(queue, 10)
        for delay in seconds:
            sent = message()
            due[sent.id] = time.time() + max(1, delay)
            await asyncio.to_thread(broker.publish, queue, [sent], delay, 5)
        assert broker.delayed() >= 5
        await recorder.until(lambda: len(late) == len(seconds))
        assert min(late) >= -0.01
        assert max(late) < 0.5

    consuming(broker, body)


def test_many_retries_do_not_end_the_event(broker: RabbitMQBroker, queue: str) -> None:
    """RabbitMQ drops a message that passes a queue again, when its x-death is sent along."""
    broker.publish(queue, [message()], 0, 5)

    async def body(hold: RabbitMQHold, recorder: Recorder) -> None:
        hold.subscribe(queue, 1)
        for attempt in range(5):
            await recorder.until(lambda expected=attempt: len(recorder.deliveries) == expected + 1)  # type: ignore[misc]
            delivery = recorder.deliveries[-1]
            assert delivery.message.headers == ({"n": attempt} if attempt else {})
            assert delivery.returns == 0
            assert await hold.reschedule(delivery, {"n": attempt + 1}, 1 if attempt < 4 else 0)

    consuming(broker, body)
    assert broker.purge(queue) == 1


def test_a_deleted_queue_is_noticed_and_made_again(
    broker: RabbitMQBroker, rabbit_node: RabbitNode, queue: str
) -> None:
    broker.publish(queue, [message(), message()], 0, 5)

    async def body(hold: RabbitMQHold, recorder: Recorder) -> None:
        hold.subscribe(queue, 1)
        await recorder.until(lambda: len(recorder.deliveries) == 1)
        with pika.BlockingConnection(pika.URLParameters(rabbit_node.url)) as connection:
            connection.channel().queue_delete(queue)
        started = time.monotonic()
        await recorder.until(lambda: recorder.events == [("voided", queue)])
        assert time.monotonic() - started < 1
        hold.ack(recorder.deliveries)  # void: must do no harm
        assert not await hold.bury(recorder.deliveries[0], {})
        sent = message()
        await asyncio.to_thread(broker.publish, queue, [sent], 0, 5)
        await recorder.until(lambda: recorder.deliveries[-1].message.id == sent.id)
        hold.ack(recorder.deliveries[-1:])

    consuming(broker, body)


def test_a_channel_that_the_broker_closes_is_opened_again_and_others_go_on(
    broker: RabbitMQBroker, rabbit_node: RabbitNode, queue: str
) -> None:
    """The channel is closed by an acknowledgement of a delivery that there was not, as any 406 would close it."""
    neighbour = queue + "-neighbour"

    async def body(hold: RabbitMQHold, recorder: Recorder) -> None:
        for name in (queue, neighbour):
            await asyncio.to_thread(broker.publish, name, [message(), message()], 0, 5)
            hold.subscribe(name, 10)
        await recorder.until(lambda: len(recorder.deliveries) == 4)
        of_queue = [each for each in recorder.deliveries if each.queue == queue]
        of_neighbour = [each for each in recorder.deliveries if each.queue == neighbour]
        burial = asyncio.create_task(hold.reschedule(of_queue[0], {}, 0))
        of_queue[1].tag.channel.raw.basic_ack(999)
        started = time.monotonic()
        await recorder.until(lambda: ("voided", queue) in recorder.events)
        assert time.monotonic() - started < 1
        hold.ack(of_queue)
        hold.ack(of_neighbour)
        await recorder.until(lambda: len(recorder.deliveries) >= 5, timeout=5)
        assert of_queue[1].message.id in [each.message.id for each in recorder.deliveries[4:]]
        assert time.monotonic() - started < 2
        await burial
        assert recorder.events == [("voided", queue)]

    consuming(broker, body)
    assert broker.figures(neighbour).ready == 0
    assert broker.figures(queue).ready in (2, 3)  # the first may be there with its copy


def test_a_pause_reaches_consumers_and_outlasts_them(broker: RabbitMQBroker, queue: str) -> None:
    async def first(hold: RabbitMQHold, recorder: Recorder) -> None:
        recorder.act = hold.ack
        hold.subscribe(queue, 10)
        await asyncio.to_thread(broker.publish, queue, [message()], 0, 5)
        await recorder.until(lambda: len(recorder.deliveries) == 1)
        await asyncio.to_thread(broker.pause, queue)
        await recorder.until(lambda: recorder.events == [("paused", queue)], timeout=2)
        await asyncio.to_thread(broker.publish, queue, [message()], 0, 5)

    async def second(hold: RabbitMQHold, recorder: Recorder) -> None:
        recorder.act = hold.ack
        hold.subscribe(queue, 10)
        await recorder.until(lambda: recorder.events == [("paused", queue)])
        assert recorder.deliveries == []
        await asyncio.to_thread(broker.resume, queue)
        await recorder.until(lambda: len(recorder.deliveries) == 1, timeout=2)
        assert recorder.events[-1] == ("resumed", queue)

    consuming(broker, first)
    assert broker.figures(queue).paused
    consuming(broker, second)
    assert not broker.figures(queue).paused


def test_an_alarm_stops_retries_but_not_acknowledgements(
    broker: RabbitMQBroker, rabbit_node: RabbitNode, queue: str
) -> None:
    broker.publish(queue, [message() for _ in range(50)], 0, 5)

    async def body(hold: RabbitMQHold, recorder: Recorder) -> None:
        hold.subscribe(queue, 20)
        await recorder.until(lambda: len(recorder.deliveries) == 20)
        assert await hold.bury(recorder.deliveries[0], {})
        await asyncio.to_thread(rabbit_node.control, "set_vm_memory_high_watermark", "absolute", "1MB")
        try:
            burial = asyncio.create_task(hold.bury(recorder.deliveries[1], {}))
            with pytest.raises((NotPublished, PublishUnknown)):
                await asyncio.to_thread(broker.publish, queue, [message()], 0, 1)
            with pytest.raises(NotPublished):
                await asyncio.to_thread(broker.publish, queue, [message()], 0, 1)
            recorder.act = hold.ack
            hold.ack(recorder.deliveries[2:])
            await recorder.until(lambda: len(recorder.deliveries) == 50)
            assert not burial.done()
        finally:
            await asyncio.to_thread(rabbit_node.control, "set_vm_memory_high_watermark", "0.6")
        assert await asyncio.wait_for(burial, 20)

    consuming(broker, body)
    assert broker.purge_dead(queue) == 2


def test_nothing_confirmed_is_lost_when_the_broker_is_killed(
    broker: RabbitMQBroker, rabbit_node: RabbitNode, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    confirmed: set[str] = set()
    unsure: set[str] = set()
    acked: set[str] = set()
    stop = threading.Event()

    def publish() -> None:
        while not stop.is_set():
            batch = [message() for _ in range(10)]
            try:
                broker.publish(queue, batch, 0, 5)
                confirmed.update(each.id for each in batch)
            except (NotPublished, PublishUnknown) as error:
                if isinstance(error, PublishUnknown):
                    unsure.update(error.unpublished)
                confirmed.update({each.id for each in batch} - set(error.unpublished))

    def kill_and_start() -> None:
        rabbit_node.kill()
        rabbit_node.start()

    async def body(hold: RabbitMQHold, recorder: Recorder) -> None:
        def act(deliveries: list[Delivery]) -> None:
            hold.ack(deliveries)
            acked.update(each.message.id for each in deliveries)

        recorder.act = act
        hold.subscribe(queue, 50)
        await recorder.until(lambda: len(acked) > 300)
        # A quorum queue that was declared less than a second before a kill stays without a leader for ever.
        await asyncio.sleep(2)
        for _ in range(2):
            count = recorder.kinds().count("regained")
            await asyncio.to_thread(kill_and_start)
            await recorder.until(lambda count=count: recorder.kinds().count("regained") > count, 40)  # type: ignore[misc]
            seen = len(acked)
            await recorder.until(lambda seen=seen: len(acked) > seen + 300, 20)  # type: ignore[misc]
        stop.set()
        await asyncio.to_thread(thread.join)
        await recorder.until(lambda: confirmed <= acked)

    caplog.set_level(logging.INFO)
    thread = threading.Thread(target=publish)
    thread.start()
    try:
        consuming(broker, body)
    finally:
        stop.set()
        thread.join()
    assert len(confirmed) > 900
    assert acked <= confirmed | unsure
    assert {record.name for record in caplog.records if record.name != "asyncio"} <= {"postroom.rabbitmq"}
    assert len(caplog.records) < 60
    assert "guest:guest" not in caplog.text


# Dead letters


def bury_all(broker: RabbitMQBroker, queue: str, count: int) -> None:
    async def body(hold: RabbitMQHold, recorder: Recorder) -> None:
        tasks: list[asyncio.Task[bool]] = []

        def act(deliveries: list[Delivery]) -> None:
            for each in deliveries:
                burial: Coroutine[Any, Any, bool] = hold.bury(each, {**each.message.headers, "why": 1.5})
                tasks.append(asyncio.create_task(burial))

        recorder.act = act
        hold.subscribe(queue, 500)
        await recorder.until(lambda: len(tasks) == count, 30)
        assert all(await asyncio.gather(*tasks))

    consuming(broker, body)


def test_a_sweep_of_five_thousand(broker: RabbitMQBroker, queue: str) -> None:
    sent = [message(b"x" * 2000, n=number) for number in range(5000)]
    broker.publish(queue, sent, 0, 10)
    bury_all(broker, queue, 5000)
    assert broker.figures(queue).dead == 5000
    seen: list[Any] = []

    def judge(letter: Message) -> Fate:
        seen.append(letter.headers["n"])
        assert letter.headers["why"] == 1.5
        return (Fate.KEEP, Fate.KEEP, Fate.REQUEUE, Fate.DROP)[len(seen) % 4]

    started = time.monotonic()
    fates = broker.sweep_dead(queue, judge)
    assert time.monotonic() - started < 10
    assert fates == {Fate.KEEP: 2500, Fate.REQUEUE: 1250, Fate.DROP: 1250}
    assert sorted(seen) == list(range(5000))
    assert broker.purge(queue) == 1250
    assert broker.purge_dead(queue) == 2500


def test_two_sweeps_at_once_are_refused(broker: RabbitMQBroker, queue: str) -> None:
    broker.publish(queue, [message()], 0, 5)
    bury_all(broker, queue, 1)

    def judge(_: Message) -> Fate:
        with pytest.raises(BrokerError, match="another program is looking"):
            broker.sweep_dead(queue, lambda _: Fate.KEEP)
        return Fate.KEEP

    async def in_a_running_loop() -> dict[Fate, int]:
        return broker.sweep_dead(queue, judge)

    assert asyncio.run(in_a_running_loop())[Fate.KEEP] == 1
