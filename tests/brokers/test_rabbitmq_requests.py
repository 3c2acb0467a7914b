"""Requests over RabbitMQ: plain AMQP programs that ask, and a connection that does not do what it should."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pika
import pytest
from tests.brokers.conformance.consumer import PATIENCE, Consumer, eventually
from tests.brokers.conformance.site import message, new_queue
from tests.consume.stage import Stage
from tests.proxy import Proxy
from tests.rabbit import RabbitNode

from postroom.brokers.rabbitmq import RabbitMQBroker
from postroom.errors import NoReply, NotPublished
from postroom.wire import headers as h
from postroom.wire.reply import Reply

pytestmark = pytest.mark.rabbitmq

APP = "tests.apps.answers"


def ask(broker: RabbitMQBroker, queue: str, timeout: float = 5.0) -> "Future[Reply]":
    reply: Future[Reply] = Future()
    broker.request(queue, message(), timeout, reply)
    return reply


@pytest.fixture
def broker(rabbit_node: RabbitNode) -> Iterator[RabbitMQBroker]:
    its = RabbitMQBroker(rabbit_node.url, None)
    yield its
    its.close()


@pytest.fixture
def stage(tmp_path: Path, rabbit_node: RabbitNode) -> Iterator[Stage]:
    its = Stage(tmp_path, rabbit_node.url)
    its.broker.declare("asks")
    its.broker.purge("asks")
    its.broker.purge_dead("asks")
    yield its
    its.end()


class Foreign:
    """A program that asks as every AMQP tutorial does, with replies to the queue of this name."""

    def __init__(self, node: RabbitNode, replies: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(node.url))
        self._channel = self._connection.channel()
        if not replies.startswith("amq."):
            self._channel.queue_declare(replies, exclusive=True)
        self._replies = replies
        self._got: list[tuple[Any, bytes]] = []
        self._channel.basic_consume(replies, lambda _c, _m, p, b: self._got.append((p, b)), auto_ack=True)

    def ask(self, body: bytes, correlation: str | None, **headers: Any) -> None:
        properties = pika.BasicProperties(reply_to=self._replies, correlation_id=correlation, headers=headers)
        self._channel.basic_publish("postroom", "asks", body, properties)

    def reply(self) -> tuple[Any, Any]:
        """The properties and the body."""
        deadline = time.monotonic() + PATIENCE
        while not self._got:
            assert time.monotonic() < deadline, "no reply"
            self._connection.process_data_events(1)
        properties, body = self._got.pop(0)
        return properties, json.loads(body)

    def close(self) -> None:
        self._connection.close()


@pytest.mark.parametrize("replies", ["amq.rabbitmq.reply-to", "a-queue-of-its-own"])
def test_a_foreign_program_asks(stage: Stage, rabbit_node: RabbitNode, replies: str) -> None:
    stage.consumer("--queue", "asks", app=APP)
    foreign = Foreign(rabbit_node, replies)
    foreign.ask(b'{"n": 1}', "caf\u00e9")
    properties, body = foreign.reply()
    assert (properties.correlation_id, properties.content_type, body) == ("caf\u00e9", "application/json", {"n": 1})
    assert not properties.headers
    foreign.ask(b'{"do": "unknown user"}', "second")
    properties, body = foreign.reply()
    assert (properties.correlation_id, properties.headers) == ("second", {h.ERROR: f"{APP}.NoSuchUser"})
    assert body == {"error": f"{APP}.NoSuchUser", "text": "no user 7: nobody"}
    foreign.ask(b"\xff no json", "third")
    properties, body = foreign.reply()
    assert (properties.correlation_id, body["error"]) == ("third", "BadBody")
    foreign.ask(b'{"do": "snooze"}', "fourth")
    properties, body = foreign.reply()
    assert (properties.correlation_id, body) == ("fourth", {"do": "snooze"})
    foreign.ask(b'{"n": "late"}', "fifth", **{h.DEADLINE: int(time.time()) - 5})
    foreign.ask(b'{"n": "without a name"}', None)
    properties, body = foreign.reply()
    assert properties.correlation_id
    assert body == {"n": "without a name"}
    assert "late" not in stage.ns("begin")
    assert stage.dead("asks") == []
    foreign.close()


def test_a_foreign_program_answers(broker: RabbitMQBroker, rabbit_node: RabbitNode) -> None:
    queue = new_queue()
    broker.declare(queue)
    connection = pika.BlockingConnection(pika.URLParameters(rabbit_node.url))
    channel = connection.channel()
    reply = ask(broker, queue)
    for method, properties, _ in channel.consume(queue):
        echoed = pika.BasicProperties(correlation_id=properties.correlation_id)
        channel.basic_publish("", str(properties.reply_to), b"42", echoed)
        channel.basic_ack(method.delivery_tag or 0)
        break
    assert reply.result(PATIENCE) == Reply({}, b"42")
    connection.close()


def test_a_lost_connection_is_told_at_once_and_the_next_request_has_another(
    broker: RabbitMQBroker, rabbit_node: RabbitNode
) -> None:
    queue = new_queue()
    proxy = Proxy(rabbit_node.port)
    through = RabbitMQBroker(rabbit_node.url.replace(f":{rabbit_node.port}", f":{proxy.port}"), None)
    consumer = Consumer(broker)
    lost = ask(through, queue)
    (delivery,) = consumer.take(queue, 1, prefetch=5)
    proxy.cut()
    with pytest.raises(NoReply, match="which may have run: the channel to RabbitMQ is gone"):
        lost.result(PATIENCE)
    consumer.reply(delivery, Reply({}, b"1"))  # to nobody
    consumer.ack([delivery])
    again = ask(through, queue)
    (delivery,) = consumer.next(queue, 1)
    consumer.reply(delivery, Reply({}, b"2"))
    assert again.result(PATIENCE).body == b"2"
    through.close()
    consumer.close()
    proxy.close()


def test_a_deleted_queue_is_declared_again(broker: RabbitMQBroker, rabbit_node: RabbitNode) -> None:
    queue = new_queue()
    consumer = Consumer(broker)
    first = ask(broker, queue)
    (delivery,) = consumer.take(queue, 1, prefetch=5)
    consumer.reply(delivery, Reply({}, b"1"))
    consumer.ack([delivery])
    first.result(PATIENCE)
    consumer.close()
    with pika.BlockingConnection(pika.URLParameters(rabbit_node.url)) as connection:
        connection.channel().queue_delete(queue)
    second = ask(broker, queue)
    consumer = Consumer(broker)
    (delivery,) = consumer.take(queue, 1)
    consumer.reply(delivery, Reply({}, b"2"))
    assert second.result(PATIENCE).body == b"2"
    consumer.close()


def test_where_nothing_listens_it_is_not_published() -> None:
    broker = RabbitMQBroker("amqp://guest:guest@127.0.0.1:1/%2F", None)
    with pytest.raises(NotPublished, match=r"did not take it within 1 seconds \(cannot connect to RabbitMQ at 127"):
        ask(broker, "q", timeout=1.0).result(PATIENCE)
    broker.close()


def test_a_wrong_password_is_told_at_once(rabbit_node: RabbitNode) -> None:
    broker = RabbitMQBroker(rabbit_node.url.replace("guest:guest", "guest:wrong"), None)
    with pytest.raises(NotPublished, match="the login of user 'guest' was refused"):
        ask(broker, "q", timeout=30.0).result(PATIENCE)
    broker.close()


def test_an_alarm_is_told(broker: RabbitMQBroker, rabbit_node: RabbitNode) -> None:
    """Of a broker that takes no publishes, within the time; and afterwards all is well."""
    queue = new_queue()
    consumer = Consumer(broker)
    consumer.subscribe(queue, 10)

    def answered() -> bytes:
        reply = ask(broker, queue)
        (delivery,) = consumer.next(queue, 1)
        consumer.reply(delivery, Reply({}, delivery.message.body))
        consumer.ack([delivery])
        return reply.result(PATIENCE).body

    answered()
    rabbit_node.control("set_vm_memory_high_watermark", "0.000001")
    try:
        # The first publish is what tells the connection of the alarm: it is written, and its fate unknown.
        ask(broker, queue)
        eventually(lambda: _says_blocked(broker, queue), "the alarm is told")
    finally:
        rabbit_node.control("set_vm_memory_high_watermark", "0.4")
    eventually(lambda: consumer.rest() != [], "what was written arrives")
    assert answered()
    consumer.close()


def _says_blocked(broker: RabbitMQBroker, queue: str) -> bool:
    try:
        ask(broker, queue, timeout=0.3).result(1)
    except NotPublished as error:
        return "low on memory or disk and has stopped all publishers" in str(error)
    except TimeoutError:
        return False
    return False
