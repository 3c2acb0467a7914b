"""A consumer to which nothing comes although events wait: it mends itself, or ends for its supervisor."""

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.consume.stage import Stage
from tests.consume.swallow import Swallower
from tests.rabbit import RabbitNode, free_ports

ANEW = "none has come here for a minute: subscribing anew"
ENDS = "this consumer ends with status 1"
LOOK = 0.1  # instead of 10 s: so a minute takes 0.6 s


def hurried(stage: Stage, *words: str, url: str | None = None, notify: str = "") -> "subprocess.Popen[bytes]":
    """A consumer of ``plain`` that looks often."""
    told = {"POSTROOM_BROKER": url or stage.url, "NOTIFY_SOCKET": notify, "WATCHDOG_USEC": "60000"}
    arguments = (*words, "process_queue", "--app", "tests.apps.shapes", "--queue", "plain")
    return stage.start("-m", "tests.consume.deaf", str(LOOK), *arguments, terminal=None, **told)


def test_a_broken_hold_on_sqlite(stage: Stage) -> None:
    stage.publish("plain", {"n": 1})
    consumer = hurried(stage, "thread")
    assert consumer.wait(20) == 1
    assert "plain holds 1 events and none has come here for two minutes" in stage.log(consumer)


@pytest.fixture
def rabbit_stage(tmp_path: Path, rabbit_node: RabbitNode) -> Iterator[Stage]:
    its = Stage(tmp_path, rabbit_node.url)
    its.broker.declare("plain")
    its.broker.purge("plain")
    yield its
    its.end()


@pytest.fixture
def swallower(rabbit_node: RabbitNode) -> Iterator[Swallower]:
    its = Swallower(rabbit_node.port)
    yield its
    its.close()


def through(swallower: Swallower, node: RabbitNode) -> str:
    return node.url.replace(f":{node.port}", f":{swallower.port}")


@pytest.mark.rabbitmq
def test_a_new_subscription_mends_it(rabbit_stage: Stage, rabbit_node: RabbitNode, swallower: Swallower) -> None:
    swallower.swallowing = True
    rabbit_stage.publish("plain", *({"n": n} for n in range(5)))
    consumer = hurried(rabbit_stage, url=through(swallower, rabbit_node))
    rabbit_stage.until(lambda: ANEW in rabbit_stage.log(consumer))
    assert rabbit_stage.ns() == []
    swallower.swallowing = False
    rabbit_stage.until(lambda: set(rabbit_stage.ns()) == set(range(5)))
    assert rabbit_stage.stop(consumer) == 0
    assert rabbit_stage.broker.figures("plain").ready == 0


@pytest.mark.rabbitmq
def test_the_endpoint_tells_that_it_is_deaf_and_so_do_the_checks(
    rabbit_stage: Stage, rabbit_node: RabbitNode, swallower: Swallower
) -> None:
    (port,) = free_ports(1)
    words = ("process_queue", "--app", "tests.apps.shapes", "--queue", "plain", "--health", str(port))
    url = through(swallower, rabbit_node)
    consumer = rabbit_stage.start("-m", "tests.consume.deaf", "0.5", *words, POSTROOM_BROKER=url)
    rabbit_stage.until(lambda: status(port) == 200)
    assert status(port, "/") == 404
    rabbit_stage.until(lambda: rabbit_stage.broker.figures("plain").consumers == 1)
    (report,) = rabbit_stage.broker.reports({"plain": 1}, 5)
    assert (report.problem, report.done) == ("", 0)
    swallower.swallowing = True
    rabbit_stage.publish("plain", {"n": 1}, {"n": 2})
    rabbit_stage.until(lambda: ANEW in rabbit_stage.log(consumer) and status(port) == 503)
    swallower.swallowing = False


def status(port: int, path: str = "/healthz") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except ConnectionRefusedError:
        return 0
    finally:
        connection.close()


@pytest.mark.rabbitmq
def test_where_that_does_not_help_it_ends(rabbit_stage: Stage, rabbit_node: RabbitNode, swallower: Swallower) -> None:
    swallower.swallowing = True
    rabbit_stage.publish("plain", *({"n": n} for n in range(5)))
    consumer = hurried(rabbit_stage, url=through(swallower, rabbit_node))
    assert consumer.wait(20) == 1
    assert ENDS in rabbit_stage.log(consumer)
    rabbit_stage.until(lambda: rabbit_stage.broker.figures("plain").ready == 5)


@pytest.mark.rabbitmq
def test_systemd_hears_nothing_while_it_is_deaf(
    rabbit_stage: Stage, rabbit_node: RabbitNode, swallower: Swallower
) -> None:
    name = f"postroom-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}")
        systemd.settimeout(30)
        swallower.swallowing = True
        rabbit_stage.publish("plain", *({"n": n} for n in range(5)))
        consumer = hurried(rabbit_stage, url=through(swallower, rabbit_node), notify=f"@{name}")
        heard = [(b"", 0.0)]
        while heard[-1][0] != b"STOPPING=1":
            heard.append((systemd.recv(100), time.monotonic()))
            assert len(heard) < 500, rabbit_stage.log(consumer)
    assert heard[1][0] == b"READY=1"
    alive = [at for said, at in heard if said == b"WATCHDOG=1"]
    assert len(alive) > 5
    assert heard[-1][1] - alive[-1] > LOOK * 3
    rabbit_stage.until(lambda: rabbit_stage.broker.figures("plain").ready == 5)


@pytest.mark.rabbitmq
def test_it_is_not_deaf_that_has_its_hands_full_or_is_paused(rabbit_stage: Stage) -> None:
    """Two long jobs at two consumers, and others that wait behind them; then a pause."""
    consumers = [hurried(rabbit_stage), hurried(rabbit_stage)]
    rabbit_stage.publish("plain", *({"do": "gate", "n": n} for n in range(6)))
    rabbit_stage.until(lambda: len(rabbit_stage.ns("begin")) == 2)
    rabbit_stage.publish("plain", {"n": "the last"})
    time.sleep(LOOK * 15)  # that nothing happens cannot be awaited
    rabbit_stage.broker.pause("plain")
    try:
        rabbit_stage.until(lambda: rabbit_stage.log().count("plain is paused") == 2)
        rabbit_stage.open_gate()
        rabbit_stage.until(lambda: len(rabbit_stage.ns()) == 2)
        time.sleep(LOOK * 15)
        assert rabbit_stage.broker.figures("plain").ready == 5
    finally:
        rabbit_stage.broker.resume("plain")
    rabbit_stage.until(lambda: len(rabbit_stage.ns()) == 7)
    assert ANEW not in rabbit_stage.log()
    assert [rabbit_stage.stop(each) for each in consumers] == [0, 0]
