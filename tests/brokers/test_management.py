"""What the management API adds to what AMQP tells, on a real node that has it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pika
import pytest
from tests.rabbit import RabbitNode

from postroom.brokers.base import Broker
from postroom.brokers.connect import connect
from postroom.brokers.rabbitmq.declaring import QUORUM
from postroom.errors import SettingsError
from postroom.wire.message import Message, new_id

pytestmark = pytest.mark.rabbitmq


@pytest.fixture(scope="module")
def node(rabbit_installed: None) -> Iterator[RabbitNode]:
    with RabbitNode(management=True) as node:
        yield node


@pytest.fixture
def broker(node: RabbitNode) -> Iterator[Broker]:
    broker = connect(node.url, None, node.management_url)
    yield broker
    broker.close()


def publish(broker: Broker, queue: str, count: int) -> None:
    now = time.time()
    broker.publish(queue, [Message(new_id(), b"{}", {}, now) for _ in range(count)], 0, 5)


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it has not come true in 20 seconds"
        time.sleep(0.1)


def command(node: RabbitNode, folder: Path, *words: str, management: str) -> "subprocess.CompletedProcess[str]":
    """``postroom WORDS`` without an application."""
    return subprocess.run(
        [sys.executable, "-m", "postroom", *words],
        cwd=folder,
        env={**os.environ, "POSTROOM_BROKER": node.url, "POSTROOM_MANAGEMENT": management},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_what_is_in_hand_and_how_fast_events_leave_is_known(node: RabbitNode, broker: Broker) -> None:
    publish(broker, "counted", 50)
    connection = pika.BlockingConnection(pika.URLParameters(node.url))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=5)
    held = [channel.basic_get("counted")[0] for _ in range(5)]
    eventually(lambda: broker.figures("counted").in_hand == 5)
    figures = broker.figures("counted")
    assert (figures.ready, figures.dead) == (45, 0)

    def leaves() -> bool:
        method = held.pop() if held else channel.basic_get("counted")[0]
        if method is not None and method.delivery_tag is not None:
            channel.basic_ack(method.delivery_tag)
        return (broker.figures("counted").rate or 0) > 0

    eventually(leaves)
    connection.close()


def test_the_queues_are_known_without_an_application(node: RabbitNode, broker: Broker, tmp_path: Path) -> None:
    publish(broker, "known", 3)
    pika_connection = pika.BlockingConnection(pika.URLParameters(node.url))
    pika_connection.channel().queue_declare("somebody-elses", durable=True)
    pika_connection.close()
    assert "known" in broker.queues()
    assert not {"known.dead", "somebody-elses"} & set(broker.queues())
    done = command(node, tmp_path, "queues", "--json", management=node.management_url)
    assert done.returncode == 0, done.stderr
    rows = {row["queue"]: row for row in json.loads(done.stdout)["queues"]}
    assert rows["known"]["ready"] == 3
    wrong = command(node, tmp_path, "peek", "knwn", management=node.management_url)
    assert wrong.returncode == 1
    assert "did you mean 'known'" in wrong.stderr


@pytest.mark.parametrize(
    ("url", "says"),
    [("http://127.0.0.1:1", "does not answer"), ("http://guest:wrong@127.0.0.1:{port}", "refuses user 'guest'")],
)
def test_without_an_answer_amqp_must_do(
    node: RabbitNode, broker: Broker, tmp_path: Path, url: str, says: str
) -> None:
    publish(broker, "plain", 1)
    management = url.format(port=node.management_url.rpartition(":")[2])
    shown = command(node, tmp_path, "queues", "plain", management=management)
    assert shown.returncode == 0
    assert "plain" in shown.stdout
    assert says in shown.stderr
    doctor = command(node, tmp_path, "doctor", management=management)
    assert doctor.returncode == 1
    assert says in doctor.stdout
    assert "wrong" not in shown.stderr + doctor.stdout


def test_the_doctor_tells_that_it_answers(node: RabbitNode, broker: Broker, tmp_path: Path) -> None:
    publish(broker, "looked-at", 1)
    told = command(node, tmp_path, "doctor", management=node.management_url).stdout
    assert f"ok       management: {node.management_url} tells of" in told


@pytest.mark.parametrize("url", ["mq1:15672", "amqp://mq1", "http://", "http://mq1:port", "http://mq1/?x=1"])
def test_a_url_that_cannot_be_meant_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="the setting management"):
        connect("amqp://app@mq1", None, url)


def test_the_doctor_finds_what_amqp_hides(node: RabbitNode, broker: Broker, tmp_path: Path) -> None:
    """RabbitMQ does not compare arguments that it does not know, and says nothing of policies."""
    broker.declare("hidden")
    connection = pika.BlockingConnection(pika.URLParameters(node.url))
    channel = connection.channel()
    channel.queue_delete("hidden.dead")
    channel.queue_declare("hidden.dead", durable=True, arguments={**QUORUM, "x-somebody-elses": 1})
    publish(broker, "hidden", 1)
    node.control("set_policy", "short", "^hidden$", '{"message-ttl": 600000}', "--apply-to", "queues")

    def findings() -> str:
        return command(node, tmp_path, "doctor", management=node.management_url).stdout

    eventually(lambda: "a policy sets message-ttl = 600000" in findings())
    assert "warning  queue hidden.dead: it is declared otherwise: its x-somebody-elses is 1, not none" in findings()
    assert "queue hidden: it is declared otherwise" not in findings()
    node.control("clear_policy", "short")
    channel.queue_delete("hidden")
    channel.queue_delete("hidden.dead")
    connection.close()
