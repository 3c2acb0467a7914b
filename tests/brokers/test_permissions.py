"""Three accounts on a real node, with the permissions that the how-to gives them."""

import asyncio
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from tests.consume.stage import ROOT, Stage
from tests.rabbit import RabbitNode

from postroom.brokers.base import Broker
from postroom.brokers.connect import connect
from postroom.brokers.rabbitmq import RabbitMQBroker
from postroom.errors import BrokerError, NoReply, NotPublished, PublishUnknown
from postroom.wire.message import Message, new_id
from postroom.wire.reply import Reply

pytestmark = pytest.mark.rabbitmq

PAGE = ROOT / "docs" / "how-to" / "permissions.md"


class Accounts:
    """A node with the accounts of the page, in the virtual host ``prod``."""

    def __init__(self, node: RabbitNode) -> None:
        self.node = node
        self.permissions: dict[str, list[str]] = {}  # to configure, to write, to read
        node.control("add_vhost", "prod")
        for line in re.findall(r"^rabbitmqctl (.*)$", PAGE.read_text("utf-8"), re.MULTILINE):
            words = shlex.split(line)
            if words[0] == "set_permissions":
                self.permissions[words[3]] = words[4:]
            node.control(*words, *(["secret"] if words[0] == "add_user" else []))

    def url(self, account: str) -> str:
        return f"amqp://{account}:secret@127.0.0.1:{self.node.port}/prod"

    def command(self, account: str, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "postroom", *words],
            cwd=ROOT,
            env={**os.environ, "POSTROOM_BROKER": self.url(account)},
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture(scope="module")
def accounts(rabbit_node: RabbitNode) -> Accounts:
    return Accounts(rabbit_node)


@pytest.fixture
def stage(accounts: Accounts, tmp_path: Path) -> Iterator[Stage]:
    """Its consumers run with the account for workers, and it publishes with the one for that."""
    its = Stage(tmp_path, accounts.url("shop-worker"))
    its.broker = connect(accounts.url("shop-web"))
    yield its
    its.end()


def message() -> Message:
    return Message(new_id(), b"{}", {}, time.time())


def test_what_is_not_declared_is_said_with_who_may(accounts: Accounts, stage: Stage) -> None:
    """And a worker may be kept to its own queues."""
    own = r"^(amq\.gen.*|postroom\..*|plain)$"
    assert own.replace("plain", "receipts|invites") in PAGE.read_text("utf-8")
    wide = accounts.permissions["shop-worker"]
    accounts.node.control("set_permissions", "-p", "prod", "shop-worker", *wide[:2], own)
    consumer = stage.consumer("--queue", "plain")
    stage.until(lambda: "run postroom declare with the account that has it" in stage.log(consumer))
    done = accounts.command("shop-deploy", "declare", "other")
    assert (done.returncode, done.stdout) == (0, "other is declared\n")
    with pytest.raises(
        NotPublished,
        match=r"(queue 'plain' does not exist .* user 'shop-web'|no such queue).*postroom declare",
    ):
        stage.broker.publish("plain", [message()], 0, 5)
    done = accounts.command("shop-deploy", "declare", "--app", "tests.apps.shapes")
    assert done.returncode == 0, done.stderr
    assert "plain is declared\n" in done.stdout
    stage.publish("plain", {"n": 1})
    stage.until(lambda: stage.ns() == [1], 40)
    accounts.node.control("set_permissions", "-p", "prod", "shop-worker", *wide)


def test_one_declares_one_runs_and_one_publishes(accounts: Accounts, stage: Stage) -> None:
    accounts.command("shop-deploy", "declare", "--app", "tests.apps.shapes")
    consumer = stage.consumer("--queue", "plain", "--queue", "batch")
    stage.publish("plain", {"n": 1}, {"n": "snoozes", "do": "snooze"}, {"n": "fails", "do": "fail"})
    stage.broker.publish("batch", [Message(new_id(), b'{"n": 2}', {}, time.time())], 1, 5)
    deploy = connect(accounts.url("shop-deploy"))
    stage.until(lambda: deploy.figures("plain").dead == 1)
    stage.until(lambda: set(stage.ns()) >= {1, "snoozes"})
    stage.until(lambda: stage.effects("batch done"))
    deploy.pause("plain")
    stage.until(lambda: "paused" in stage.log(consumer))
    stage.publish("plain", {"n": "later"})
    assert deploy.purge_dead("plain") == 1
    assert "later" not in stage.ns()
    deploy.resume("plain")
    stage.until(lambda: "later" in stage.ns())
    assert stage.stop(consumer) == 0
    assert "cannot" not in stage.log(consumer)
    for account in ("shop-worker", "shop-web"):
        done = accounts.command(account, "queues", "plain")
        # From RabbitMQ 4.3 on, who may only publish sees no queue.
        assert (
            done.returncode == 0
            or "access to queue 'plain' in vhost 'prod' refused for user 'shop-web'" in done.stdout
        )
    doctor = accounts.command("shop-worker", "doctor", "--app", "tests.apps.shapes")
    assert "problem" not in doctor.stdout
    deploy.close()


def ask(broker: Broker, queue: str) -> Reply:
    reply: Future[Reply] = Future()
    broker.request(queue, message(), 5, reply)
    return reply.result(20)


def test_who_publishes_may_ask_and_who_runs_may_answer(accounts: Accounts, stage: Stage) -> None:
    accounts.command("shop-deploy", "declare", "--app", "tests.apps.answers")
    stage.consumer("--queue", "asks", app="tests.apps.answers")
    assert ask(stage.broker, "asks").body == b"{}"


def test_what_keeps_who_runs_from_answering_is_said(accounts: Accounts, stage: Stage) -> None:
    accounts.command("shop-deploy", "declare", "--app", "tests.apps.answers")
    accounts.node.control("add_user", "silent", "secret")
    accounts.node.control("set_permissions", "-p", "prod", "silent", "^amq.gen.*", "^amq.gen.*", ".*")
    consumer = stage.consumer("--queue", "asks", app="tests.apps.answers", POSTROOM_BROKER=accounts.url("silent"))
    reply: Future[Reply] = Future()
    stage.broker.request("asks", message(), 5, reply)
    stage.until(
        lambda: "access to exchange 'amq.default' in vhost 'prod' refused for user 'silent'" in stage.log(consumer)
    )
    assert "replies to requests cannot be sent" in stage.log(consumer)
    all_seeing = connect(accounts.url("shop-deploy"))
    stage.until(lambda: all_seeing.figures("asks").ready == 0)
    assert stage.stop(consumer) == 0


@pytest.mark.parametrize("account", ["shop-worker", "shop-web"])
def test_neither_may_do_what_is_for_people(accounts: Accounts, account: str) -> None:
    accounts.command("shop-deploy", "declare", "plain")
    broker = RabbitMQBroker(accounts.url(account), None)
    refused: list[Callable[[], Any]] = [
        lambda: broker.declare("new"),
        lambda: broker.pause("plain"),
        lambda: broker.migrate("plain", lambda _: None, lambda _: None),
    ]
    if account == "shop-web":
        refused += [
            lambda: broker.purge("plain"),
            lambda: broker.purge_dead("plain"),
            lambda: broker.peek("plain", 1),
        ]
        broker.publish("plain", [message()], 0, 5)
    for attempt in refused:
        with pytest.raises(BrokerError, match=f"refused for user '{account}'"):
            attempt()
    broker.close()


def test_who_only_publishes_cannot_consume(accounts: Accounts, caplog: pytest.LogCaptureFixture) -> None:
    accounts.command("shop-deploy", "declare", "plain")

    async def consume() -> None:
        broker = RabbitMQBroker(accounts.url("shop-web"), None)
        hold = broker.hold(asyncio.get_running_loop(), None, "intruder")  # type: ignore[arg-type]
        async with asyncio.timeout(1):
            await hold.open()

    with pytest.raises(TimeoutError):
        asyncio.run(consume())
    assert "refused for user 'shop-web'" in caplog.text


def test_a_permission_that_a_publisher_lacks_is_named(accounts: Accounts) -> None:
    accounts.command("shop-deploy", "declare", "plain")
    accounts.node.control("add_user", "mute", "secret")
    accounts.node.control("set_permissions", "-p", "prod", "mute", "^$", "^$", "^$")
    broker = RabbitMQBroker(accounts.url("mute"), None)
    with pytest.raises(PublishUnknown, match=r"access to exchange 'postroom' .* refused for user 'mute'"):
        broker.publish("plain", [message()], 0, 5)
    with pytest.raises(NoReply, match=r"access to exchange 'postroom' .* refused for user 'mute'"):
        ask(broker, "plain")
    broker.close()
