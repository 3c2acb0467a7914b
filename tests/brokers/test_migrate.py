"""``migrate`` on a real node: queues of another declaration become the right ones, and no event is lost."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest
from tests.consume.stage import Stage
from tests.rabbit import RabbitNode

from postroom.brokers.base import Fate
from postroom.brokers.rabbitmq import RabbitMQBroker, delays, topology
from postroom.brokers.rabbitmq.declaring import QUORUM
from postroom.errors import BrokerError
from postroom.wire import headers as h
from postroom.wire.message import Message, new_id

pytestmark = pytest.mark.rabbitmq


@pytest.fixture(scope="module")
def node(rabbit_installed: None) -> Iterator[RabbitNode]:
    with RabbitNode(management=True) as node:
        yield node


@pytest.fixture
def broker(node: RabbitNode) -> Iterator[RabbitMQBroker]:
    broker = RabbitMQBroker(node.url, None)
    yield broker
    broker.close()


@pytest.fixture
def queue() -> str:
    return f"moved-{new_id()[-8:].lower()}"


@pytest.fixture
def channel(node: RabbitNode) -> Iterator[Any]:
    """Somebody else's."""
    with pika.BlockingConnection(pika.URLParameters(node.url)) as connection:
        yield connection.channel()


def make_other(broker: RabbitMQBroker, channel: Any, queue: str, arguments: dict[str, Any] | None = None) -> None:
    """The queue as somebody else declares it, bound as ours is."""
    broker.declare(queue)
    channel.queue_delete(queue)
    channel.queue_declare(queue, durable=True, arguments=arguments)
    channel.queue_bind(queue, "postroom", queue)
    channel.queue_bind(queue, "postroom.due", delays.due_binding(queue))


def migrate(broker: RabbitMQBroker, queue: str) -> int:
    return broker.migrate(queue, lambda _: None, lambda _: None)


def command(node: RabbitNode, folder: Path, *words: str, management: bool = False) -> "subprocess.Popen[str]":
    """``postroom migrate WORDS``."""
    more = {"POSTROOM_MANAGEMENT": node.management_url} if management else {}
    return subprocess.Popen(
        [sys.executable, "-m", "postroom", "migrate", *words],
        cwd=folder,
        env={**os.environ, "POSTROOM_BROKER": node.url, **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Where the tests run in the background of a script, Ctrl-C is ignored, and by their children too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


class Publishing:
    """A program that publishes by the exchange, confirmed, as long as the block lasts."""

    def __init__(self, node: RabbitNode, queue: str) -> None:
        self.confirmed: list[int] = []
        self._url, self._queue = node.url, queue
        self._ends = threading.Event()
        self._failure: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Publishing":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        assert not self._failure

    def _run(self) -> None:
        try:
            with pika.BlockingConnection(pika.URLParameters(self._url)) as connection:
                channel = connection.channel()
                channel.confirm_delivery()
                for n in itertools.count():
                    properties = pika.BasicProperties(message_id=f"p{n}", delivery_mode=2)
                    exchange, key = "postroom", self._queue
                    if n % 20 == 19:
                        exchange, key = delays.way_in(self._queue, 1 + n % 3)
                    channel.basic_publish(exchange, key, b'{"n": %d}' % n, properties, mandatory=True)
                    self.confirmed.append(n)
                    if self._ends.wait(0.001):
                        return
        except BaseException as error:  # noqa: BLE001 the block's end raises it
            self._failure.append(error)


def take_all(broker: RabbitMQBroker, channel: Any, queue: str) -> list[int]:
    """The numbers of all events, when no more are delayed."""
    deadline = time.monotonic() + 10
    while broker.delayed():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    taken = []
    for _method, _properties, body in channel.consume(queue, auto_ack=True, inactivity_timeout=1):
        if body is None:
            break
        taken.append(json.loads(body)["n"])
    channel.cancel()
    return taken


def test_events_and_letters_come_as_they_are_and_in_order(broker: RabbitMQBroker, channel: Any, queue: str) -> None:
    make_other(broker, channel, queue, {"x-max-priority": 4, "x-message-ttl": 3_600_000})
    channel.queue_delete(f"{queue}.dead")
    channel.queue_declare(f"{queue}.dead", durable=True)
    channel.queue_declare("aside", durable=True, arguments=QUORUM)
    properties = pika.BasicProperties(
        headers={"table": {"a": [1, None]}, "x-death": [{"count": 1}], "CC": ["aside"], "x-mine": 1},
        user_id="guest",
        correlation_id="c",
        reply_to="r",
        type="t",
        app_id="a",
        timestamp=7,
    )
    channel.basic_publish("", queue, b"foreign", properties)
    channel.basic_publish("", queue, b"bare")
    channel.basic_publish("", f"{queue}.dead", b"letter", pika.BasicProperties(headers={"postroom-reason": "r"}))
    broker.pause(queue)
    assert migrate(broker, queue) == 3
    assert broker.figures(queue).paused, "an operator's pause stays"
    assert broker.misfit(queue) == ""
    _, found, body = channel.basic_get(queue, auto_ack=True)
    assert body == b"foreign"
    assert {**found.headers, "x-delivery-count": 0} == {"x-delivery-count": 0, "table": {"a": [1, None]}, "x-mine": 1}
    assert (found.correlation_id, found.reply_to, found.type, found.app_id) == ("c", "r", "t", "a")
    assert (found.timestamp, found.user_id) == (7, None)
    assert channel.basic_get(queue, auto_ack=True)[2] == b"bare"
    letters: list[Message] = []
    broker.sweep_dead(queue, lambda letter: letters.append(letter) or Fate.KEEP)  # type: ignore[func-returns-value]
    assert [(letter.body, letter.headers) for letter in letters] == [(b"letter", {"postroom-reason": "r"})]
    assert channel.queue_declare("aside", passive=True).method.message_count == 1
    assert migrate(broker, queue) == 0


def test_what_is_published_meanwhile_comes_once(
    node: RabbitNode, broker: RabbitMQBroker, channel: Any, queue: str
) -> None:
    make_other(broker, channel, queue)
    with Publishing(node, queue) as publishing:
        while len(publishing.confirmed) < 500:
            time.sleep(0.01)
        migrate(broker, queue)
        there = len(publishing.confirmed)
        while len(publishing.confirmed) < there + 200:
            time.sleep(0.01)
    taken = take_all(broker, channel, queue)
    assert sorted(taken) == publishing.confirmed
    straight = [n for n in taken if n % 20 != 19]
    turned = sum(later < earlier for earlier, later in itertools.pairwise(straight))
    assert turned <= 10, "the order stays but for what is on its way at a switch"


@pytest.mark.parametrize(
    "kills", [(0.7, 2), pytest.param((0.6, 0.8, 1, 1.2, 1.5, 2, 2.5, 3, 4, 5), marks=pytest.mark.slow)]
)
def test_killed_again_and_again_it_completes(
    node: RabbitNode, broker: RabbitMQBroker, channel: Any, queue: str, tmp_path: Path, kills: tuple[float, ...]
) -> None:
    make_other(broker, channel, queue)
    for n in range(2000):
        channel.basic_publish("", queue, b'{"n": %d}' % -n)
    with Publishing(node, queue) as publishing:
        for seconds in kills:
            process = command(node, tmp_path, queue, "--yes")
            time.sleep(seconds + random.uniform(0, 0.4))
            process.kill()
            process.communicate()
        process = command(node, tmp_path, queue, "--yes")
        told, _ = process.communicate(timeout=60)
        assert process.returncode == 0, told
    assert broker.misfit(queue) == ""
    assert not broker.figures(queue).paused
    taken = take_all(broker, channel, queue)
    assert set(taken) == {*publishing.confirmed, *range(-1999, 1)}
    assert len(taken) - len(set(taken)) <= len(kills) * 500


def test_workers_that_were_refused_come_back_by_themselves(
    node: RabbitNode, broker: RabbitMQBroker, channel: Any, tmp_path: Path
) -> None:
    make_other(broker, channel, "plain")
    for n in range(20):
        channel.basic_publish("", "plain", b'{"n": %d}' % n)
    stage = Stage(tmp_path, node.url)
    try:
        consumer = stage.consumer("--queue", "plain")
        stage.until(lambda: "postroom migrate plain" in stage.log(consumer))
        process = command(node, tmp_path, "plain", "--yes")
        told, _ = process.communicate(timeout=60)
        assert process.returncode == 0, told
        assert told.endswith("plain is as it should be; 20 events moved\n")
        stage.until(lambda: stage.ns() == list(range(20)))
        assert stage.stop(consumer) == 0
    finally:
        stage.end()


@pytest.mark.parametrize("kind", ["quorum", pytest.param("classic", marks=pytest.mark.slow)])
def test_what_workers_have_in_hand_is_waited_for(
    node: RabbitNode, broker: RabbitMQBroker, channel: Any, tmp_path: Path, kind: str
) -> None:
    """They run on a queue that does not fit: by an account that may not declare, they cannot tell."""
    node.control("add_user", f"runs-{kind}", "secret")
    node.control("set_permissions", f"runs-{kind}", r"^amq\.gen.*", ".*", ".*")
    make_other(broker, channel, "plain", {"x-queue-type": kind, "x-message-ttl": 3_600_000})
    stage = Stage(tmp_path, node.url.replace("guest:guest", f"runs-{kind}:secret"))
    try:
        consumer = stage.consumer("--queue", "plain")
        stage.publish("plain", {"do": "gate", "n": 1}, {"n": 2})
        stage.until(lambda: stage.ns("begin") == [1])
        process = command(node, tmp_path, "plain", "--yes", management=True)
        assert process.stdout is not None
        assert any("waiting until the consumers of plain" in line for line in process.stdout)
        assert process.poll() is None
        stage.open_gate()
        told, _ = process.communicate(timeout=60)
        assert process.returncode == 0, told
        stage.publish("plain", {"n": 3})
        stage.until(lambda: stage.ns() == [1, 2, 3])
        assert stage.stop(consumer) == 0
        assert stage.ns("begin") == [1, 2, 3]
    finally:
        stage.end()


def test_what_cannot_be_known_is_refused_before_anything_is_changed(
    broker: RabbitMQBroker, channel: Any, queue: str, node: RabbitNode
) -> None:
    make_other(broker, channel, queue)
    channel.basic_consume(queue, lambda *_: None)
    with pytest.raises(BrokerError, match="stop them"):
        migrate(broker, queue)
    assert channel.queue_declare(queue, passive=True).method.consumer_count == 1
    with pytest.raises(BrokerError):
        broker.figures(queue)
    channel.queue_delete(queue)
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "stream"})
    with pytest.raises(BrokerError, match="is a stream"):
        migrate(broker, queue)


def test_a_shard_of_an_ordered_queue_is_moved_too(broker: RabbitMQBroker, channel: Any, queue: str) -> None:
    broker.declare(queue, True)
    sent = [Message(new_id(), b"%d" % n, {h.KEY: "k"}, time.time()) for n in range(300)]
    shard = topology.place(queue, sent[0].headers)
    channel.queue_delete(shard)
    channel.queue_declare(shard, durable=True, arguments=QUORUM)
    channel.queue_bind(shard, "postroom", shard)
    for each in sent:
        channel.basic_publish("postroom", shard, each.body, pika.BasicProperties(headers={h.KEY: "k"}))
    assert f"postroom migrate {queue} " in broker.misfit(queue)
    assert migrate(broker, queue) == 300
    assert broker.misfit(queue) == ""
    found = channel.consume(shard, auto_ack=True, inactivity_timeout=5)
    assert [body for _, (_, _, body) in zip(sent, found, strict=False)] == [each.body for each in sent]


def test_it_asks_first(broker: RabbitMQBroker, channel: Any, queue: str, node: RabbitNode, tmp_path: Path) -> None:
    make_other(broker, channel, queue)
    for _ in range(5000):  # so many that it is interrupted at work
        channel.basic_publish("", queue, b"{}")
    told, _ = (process := command(node, tmp_path, queue)).communicate(timeout=60)
    assert process.returncode == 2
    assert "add --yes" in told
    process = command(node, tmp_path, queue, "--yes")
    assert process.stdout is not None
    next(line for line in process.stdout if "is paused" in line)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"to complete it: postroom migrate {queue}" in told
    told, _ = command(node, tmp_path, queue, "--yes").communicate(timeout=60)
    assert f"a migration of '{queue}' has not come to its end" in told
    assert f"{queue} is as it should be" in told
    told, _ = command(node, tmp_path, queue).communicate(timeout=60)
    assert told == f"{queue} is as it should be; there is nothing to migrate\n"
    told, _ = (process := command(node, tmp_path, "no-such-queue")).communicate(timeout=60)
    assert process.returncode == 1
    assert "does not exist" in told
