"""A request and its reply, from one process through a broker to a worker and back."""

import asyncio
import gc
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest

from postroom import Queue, aqueue_json_request, queue_json_publish, queue_json_request
from postroom.errors import NoReply, PostroomError, RequestFailed, WrongPayload
from postroom.queues import registry
from postroom.settings import override
from postroom.wire import headers as h
from tests.consume.stage import Stage, children
from tests.rabbit import RabbitNode

QUEUES = ("asks", "asks_class", "asks_async", "asks_batch", "asks_on")
APP = "tests.apps.answers"


@pytest.fixture(params=["sqlite", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """A stage on each broker, which is this process's own too."""
    url = f"sqlite:///{tmp_path}/postroom.db"
    if request.param == "rabbitmq":
        node: RabbitNode = request.getfixturevalue("rabbit_node")
        url = node.url
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            channel = connection.channel()
            for name in QUEUES:
                channel.queue_delete(name)
                channel.queue_delete(f"{name}.dead")
    snapshot = registry.Snapshot()
    for name in QUEUES:
        Queue(name, dict[str, Any], max_bytes=10_000)
    override(broker=url)
    its = Stage(tmp_path, url)
    yield its
    override(broker=None)
    snapshot.restore()
    its.end()


def consumer(stage: Stage, *queues: str) -> "subprocess.Popen[bytes]":
    flags = [word for queue in queues or ("asks",) for word in ("--queue", queue)]
    return stage.consumer(*flags, app=APP)


def ask(do: str, queue: str = "asks", timeout: float = 20.0, **more: Any) -> Any:
    return queue_json_request(queue, {"do": do, **more}, timeout=timeout)


def test_what_each_kind_of_worker_returns_is_the_reply(stage: Stage) -> None:
    consumer(stage, "asks", "asks_class", "asks_async", "asks_on")
    assert ask("user") == {"name": "Ada", "visits": 1}
    assert sorted(ask("set")) == [1, 2]
    assert ask("nothing") is None
    assert queue_json_request("asks_class", {"n": 1}, headers={"tenant": "ada"}) == {"n": 1, "by": "class"}
    assert queue_json_request("asks_async", {"n": 2}) == {"n": 2, "by": "task"}
    assert queue_json_request("asks_on", {"n": 3}) == {"n": 3, "by": "class"}
    stage.until(lambda: stage.empty("asks"))


def test_an_error_is_the_reply_by_name_and_nothing_is_tried_again(stage: Stage) -> None:
    consumer(stage, "asks", "asks_async", "asks_batch")
    for do, error, text in (
        ("unknown user", "tests.apps.answers.NoSuchUser", "no user 7: nobody"),
        ("fail", "ValueError", "it does not work"),
        ("silent", "tests.apps.acts.Silent", "(its text cannot be had: RuntimeError)"),
        ("drop", "Drop", "not wanted"),
        ("sys.exit", "SystemExit", "4"),
    ):
        with pytest.raises(RequestFailed) as raised:
            ask(do)
        assert (raised.value.error, raised.value.text) == (error, text)
        assert str(raised.value) == f"the worker of queue 'asks' raised {error}: {text}"
    with pytest.raises(RequestFailed, match=r"raised tests\.apps\.answers\.NoSuchUser$"):
        ask("fail", "asks_async")
    with pytest.raises(RequestFailed, match="'asks_batch' has a batch worker, which answers no requests"):
        ask("ok", "asks_batch")
    stage.until(lambda: stage.empty("asks") and stage.empty("asks_async") and stage.empty("asks_batch"))
    assert len(stage.ns("begin")) == 5
    assert stage.dead("asks") == []
    assert stage.effects("batch") == []


def test_what_is_no_json_or_too_large_is_said(stage: Stage) -> None:
    consumer(stage)
    for do, said in (
        ("object", "the worker returned a object, which is no JSON: Encoding objects of type object is unsupported"),
        ("nan", "the worker returned NaN or infinity, which JSON cannot carry"),
        ("large", "the worker returned 1048578 bytes as JSON, a reply has 1048576 at most"),
    ):
        with pytest.raises(RequestFailed) as raised:
            ask(do)
        assert raised.value.error == "WrongReply"
        assert raised.value.text == said


def test_what_is_buried_is_told_too(stage: Stage) -> None:
    consumer(stage)
    with pytest.raises(RequestFailed) as raised:
        ask("bury")
    assert (raised.value.error, raised.value.text) == ("Bury", "nobody can mend this")
    with pytest.raises(RequestFailed) as raised:
        ask("segfault")
    assert raised.value.error == "Crashed"
    assert "it killed 2 executors; the last was killed by signal SIGSEGV" in raised.value.text
    with pytest.raises(RequestFailed) as raised:
        ask("ok", text="x" * 2000)
    assert (raised.value.error, raised.value.text) == ("TooLarge", "it is 2021 bytes, the queue's max_bytes is 1000")
    stage.until(lambda: len(stage.dead("asks")) == 3)
    assert not any(h.REPLY_TO in letter.headers or h.DEADLINE in letter.headers for letter in stage.dead("asks"))


@pytest.mark.slow
def test_who_swallows_the_time_limit_is_told_too(stage: Stage) -> None:
    consumer(stage)
    with pytest.raises(RequestFailed) as raised:
        ask("swallow", timeout=60.0)
    assert raised.value.error == "Crashed"


def test_a_retry_is_a_retry_until_the_deadline(stage: Stage) -> None:
    consumer(stage)
    assert ask("snooze") == {"do": "snooze"}
    with pytest.raises(RequestFailed) as raised:
        ask("later", after=60)
    assert (raised.value.error, raised.value.text) == ("Retry", "not yet")
    stage.until(lambda: stage.empty("asks"))


def test_a_soft_time_limit_is_an_error(stage: Stage) -> None:
    consumer(stage)
    with pytest.raises(RequestFailed, match="raised TimeLimitReached: over its limit of 2 s"):
        ask("slow", seconds=10)


def test_no_reply_in_time(stage: Stage) -> None:
    """Nobody consumes. When somebody does, it is not begun: nobody waits."""
    started = time.monotonic()
    with pytest.raises(
        NoReply, match=r"no reply within 0\.3 s to the request .* of queue 'asks', which may have run"
    ):
        ask("ok", timeout=0.3, n="late")
    assert 0.3 <= time.monotonic() - started < 2
    with pytest.raises(TimeoutError):
        asyncio.run(aqueue_json_request("asks", {"n": "late"}, timeout=0.3))
    queue_json_publish("asks", {"n": "event"})
    consumer(stage)
    stage.until(lambda: stage.ns("begin") == ["event"] and stage.empty("asks"))
    assert stage.dead("asks") == []


def test_a_late_reply_is_dropped(stage: Stage) -> None:
    consumer(stage)
    ask("ok")
    with pytest.raises(NoReply):
        ask("gate", timeout=0.3, n="late")
    stage.open_gate()
    stage.until(lambda: "late" in stage.ns("begin") and stage.empty("asks"))
    assert ask("ok", n="next") == {"do": "ok", "n": "next"}


def test_an_ordinary_event_gets_no_reply_and_may_return_what_it_likes(stage: Stage) -> None:
    queue_json_publish("asks", {"do": "object", "n": 1})
    (bad,) = stage.publish("asks", {"do": "fail"})
    consumer(stage)
    stage.until(lambda: stage.dead("asks"))
    assert stage.reasons("asks").keys() == {bad}


def test_it_waits_while_the_workers_are_restarted(stage: Stage) -> None:
    first = consumer(stage)
    answers: list[Any] = []
    asking = [threading.Thread(target=lambda n=n: answers.append(ask("wait", seconds=0.05, n=n))) for n in range(30)]
    for thread in asking:
        thread.start()
    stage.until(lambda: len(answers) > 3)
    first.send_signal(signal.SIGTERM)
    consumer(stage)
    for thread in asking:
        thread.join(30)
    assert sorted(answer["n"] for answer in answers) == list(range(30))
    assert first.wait(20) == 0


def test_an_executor_that_is_killed_between_two_requests_is_no_matter(stage: Stage) -> None:
    its = consumer(stage)
    ask("ok")
    (executor,) = children(its.pid)
    os.kill(executor, signal.SIGKILL)
    assert ask("ok", n=2) == {"do": "ok", "n": 2}


def test_two_thousand_at_once_from_one_loop(stage: Stage) -> None:
    """One connection, a few threads for all, bounded memory."""
    consumer(stage, "asks_async")
    queue_json_request("asks_async", {})
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, threading.active_count())
            await asyncio.sleep(0.01)

    async def all_of_them() -> list[Any]:
        watching = asyncio.create_task(watch())
        asked = [aqueue_json_request("asks_async", {"n": n}, timeout=60) for n in range(2000)]
        replies = await asyncio.gather(*asked)
        watching.cancel()
        return replies

    before = memory()
    replies = asyncio.run(all_of_them())
    assert [reply["n"] for reply in replies] == list(range(2000))
    assert most <= (os.cpu_count() or 1) + 4 + 6
    gc.collect()
    assert memory() - before < 60_000_000


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_sync_request_is_refused_on_a_running_loop(stage: Stage) -> None:
    async def wrong() -> None:
        queue_json_request("asks", {})

    with pytest.raises(PostroomError, match="await aqueue_json_request instead"):
        asyncio.run(wrong())


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), 86_401])
def test_what_is_wrong_is_said_before_anything_is_sent(stage: Stage, timeout: float) -> None:
    with pytest.raises(PostroomError, match="give seconds, more than 0, up to a day"):
        queue_json_request("asks", {}, timeout=timeout)
    with pytest.raises(WrongPayload):
        queue_json_request("asks", 7)
    with pytest.raises(PostroomError, match="are taken"):
        queue_json_request("asks", {}, headers={h.REPLY_TO: "me"})


def test_a_cancelled_task_gives_up(stage: Stage) -> None:
    consumer(stage, "asks_async")

    async def cancel() -> None:
        task = asyncio.create_task(aqueue_json_request("asks_async", {"seconds": 30}))
        await aqueue_json_request("asks_async", {})
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert queue_json_request("asks_async", {"n": 1}) == {"n": 1, "by": "task"}


KILLED = """
import sys
from postroom import Queue, configure, queue_json_request
configure(broker=sys.argv[1])
Queue("asks")
queue_json_request("asks", {"do": "gate"}, timeout=float(sys.argv[2]))
"""


def test_a_caller_that_is_killed_leaves_nothing_behind(stage: Stage, rabbit_node: RabbitNode) -> None:
    consumer(stage)
    ask("ok")
    before = queues(rabbit_node) if stage.url.startswith("amqp") else ""
    caller = subprocess.Popen([sys.executable, "-c", KILLED, stage.url, "6"])
    stage.until(lambda: len(stage.ns("begin")) == 2)
    caller.kill()
    caller.wait()
    stage.open_gate()
    stage.until(lambda: stage.empty("asks"))
    assert ask("ok", n=3) == {"do": "ok", "n": 3}
    if stage.url.startswith("amqp"):
        assert queues(rabbit_node) == before
        return
    database = sqlite3.connect(stage.url.removeprefix("sqlite:///"))
    assert database.execute("SELECT count(*) FROM replies").fetchall() == [(1,)]
    stage.until(lambda: database.execute("SELECT count(*) FROM replies").fetchall() == [(0,)], 30)
    database.close()


def queues(node: RabbitNode) -> str:
    return node.control("list_queues", "name")
