"""What is declared in RabbitMQ: its arguments, what is said where something else is there, and connections' names."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest
from tests.consume.stage import Stage
from tests.rabbit import RabbitNode

from postroom.brokers.rabbitmq import RabbitMQBroker
from postroom.brokers.rabbitmq.declaring import QUORUM
from postroom.errors import NotPublished
from postroom.wire.message import Message, new_id
from tests import rabbit

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.rabbitmq


@pytest.fixture
def queue() -> str:
    return f"topology-{new_id()[-8:].lower()}"


@pytest.fixture
def broker(rabbit_node: RabbitNode) -> Iterator[RabbitMQBroker]:
    broker = RabbitMQBroker(rabbit_node.url, None)
    yield broker
    broker.close()


def message(body: bytes = b"{}") -> Message:
    return Message(new_id(), body, {}, time.time())


def declare(node: RabbitNode, name: str, arguments: dict[str, Any] | None = None) -> None:
    """A durable queue, as somebody else declares it, instead of one that may be there."""
    with pika.BlockingConnection(pika.URLParameters(node.url)) as connection:
        connection.channel().queue_delete(name)
        connection.channel().queue_declare(name, durable=True, arguments=arguments)


def postroom(node: RabbitNode, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """``postroom WORDS`` without an application."""
    return subprocess.run(
        [sys.executable, "-m", "postroom", *words],
        cwd=folder,
        env={**os.environ, "POSTROOM_BROKER": node.url, "PYTHONPATH": f"{ROOT}/src:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("suffix", "arguments", "difference"),
    [
        ("", None, "its x-"),  # of several differences RabbitMQ names the one it looks at first
        (".dead", {"x-queue-type": "classic"}, "its x-queue-type is 'classic', not 'quorum'"),
        (".dead", {**QUORUM, "x-delivery-limit": 3}, "its x-delivery-limit is '3', not '1000000'"),
    ],
)
def test_a_queue_that_is_declared_otherwise_is_refused_by_its_difference(
    broker: RabbitMQBroker,
    rabbit_node: RabbitNode,
    queue: str,
    tmp_path: Path,
    suffix: str,
    arguments: dict[str, Any] | None,
    difference: str,
) -> None:
    broker.declare(queue)
    with pika.BlockingConnection(pika.URLParameters(rabbit_node.url)) as connection:
        connection.channel().queue_delete(queue + suffix)
    declare(rabbit_node, queue + suffix, arguments)
    with pytest.raises(NotPublished) as refused:
        broker.publish(queue, [message()], 0, 5)
    assert difference in str(refused.value)
    assert f"postroom migrate {queue} " in str(refused.value)
    listed = postroom(rabbit_node, tmp_path, "queues", queue, "--json")
    assert listed.returncode == 1
    assert f"postroom migrate {queue} " in json.loads(listed.stdout)["queues"][0]["error"]


def test_a_worker_and_the_doctor_name_the_command(stage: Stage, rabbit_node: RabbitNode, tmp_path: Path) -> None:
    declare(rabbit_node, "tasks")
    consumer = stage.consumer("--queue", "tasks")
    stage.until(lambda: "postroom migrate tasks" in stage.log(consumer))
    told = postroom(rabbit_node, tmp_path, "doctor", "--app", "tests.apps.shapes")
    assert "problem  queue tasks: the queue 'tasks' exists in RabbitMQ with other properties" in told.stdout
    assert "postroom migrate tasks" in told.stdout
    assert told.returncode == 1
    with pika.BlockingConnection(pika.URLParameters(rabbit_node.url)) as connection:
        connection.channel().queue_delete("tasks")  # other tests' workers have one too


def test_replicas_and_leaders_are_stated(broker: RabbitMQBroker, rabbit_node: RabbitNode, queue: str) -> None:
    broker.publish(queue, [message()], 1, 5)
    broker.declare(queue)
    told = rabbit_node.control("list_queues", "name", "arguments", "members", "--formatter", "json")
    queues = {row["name"]: row for row in json.loads(told)}
    for name in (queue, f"{queue}.dead", "postroom.delay.00"):
        arguments = {argument[0]: argument[-1] for argument in queues[name]["arguments"]}
        assert arguments["x-quorum-initial-group-size"] == 3
        assert arguments["x-queue-leader-locator"] == "balanced"
        assert len(queues[name]["members"]) == 1


def test_connections_tell_program_host_and_queues(stage: Stage, rabbit_node: RabbitNode) -> None:
    stage.consumer("--queue", "plain", "--queue", "batch")
    every = stage.consumer("--all")
    stage.publish("plain", {"n": 1})
    stage.until(lambda: stage.ns() == [1])
    told = rabbit_node.control("list_connections", "client_properties")
    host = os.uname().nodename
    assert f'"postroom: tests.apps.shapes@{host} consumer plain, batch (pid ' in told
    assert f"more (pid {every.pid})" in told
    assert f"@{host} publisher" in told


@pytest.mark.skipif(rabbit.DEBIAN is None, reason="RabbitMQ 3.10 has no such setting")
def test_relaxed_redeclaration_hides_nothing_from_us(tmp_path: Path) -> None:
    """It lets a quorum queue pass for a classic one, and never another for ours."""
    relaxed = "quorum_queue.property_equivalence.relaxed_checks_on_redeclaration = true\n"
    with RabbitNode(relaxed) as node:
        broker = RabbitMQBroker(node.url, None)
        broker.declare("ours")
        declare(node, "ours.dead", {"x-queue-type": "classic"})  # passes, so the setting is in force
        for arguments in (None, {"x-queue-type": "classic"}, {**QUORUM, "x-delivery-limit": 3}):
            declare(node, "theirs", arguments)
            with pytest.raises(NotPublished, match="postroom migrate theirs"):
                broker.publish("theirs", [message()], 0, 5)
            with pika.BlockingConnection(pika.URLParameters(node.url)) as connection:
                connection.channel().queue_delete("theirs")
        declare(node, "theirs")
        assert "postroom migrate theirs" in postroom(node, tmp_path, "queues", "theirs").stdout
        broker.close()


@pytest.fixture
def stage(tmp_path: Path, rabbit_node: RabbitNode) -> Iterator[Stage]:
    its = Stage(tmp_path, rabbit_node.url)
    yield its
    its.end()
    with pika.BlockingConnection(pika.URLParameters(rabbit_node.url)) as connection:
        for name in ("plain", "batch", "threads", "tasks"):
            connection.channel().queue_delete(name)
            connection.channel().queue_delete(f"{name}.dead")
