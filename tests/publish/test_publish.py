"""The way in: what is checked before anything is sent, and what is told when it fails."""

import asyncio
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from postroom import Queue, aqueue_json_publish, queue_json_publish, queue_json_publish_many
from postroom.errors import PostroomError, UnknownQueue, WrongPayload
from postroom.publish import door
from postroom.publish.checks import MOST_HEADERS
from postroom.queues import middleware
from postroom.wire import headers as h
from postroom.wire.message import Message


@dataclass
class Invite:
    email: str


@pytest.fixture
def invites() -> Queue[Invite]:
    return Queue("test_invites", Invite, max_bytes=100)


class Sent(list[tuple[str, Message, float]]):
    """What would have gone to the broker."""

    fail: Exception | None = None

    def __call__(self, queue: str, messages: Sequence[Message], delay: float) -> None:
        if self.fail is not None:
            raise self.fail
        self.extend((queue, message, delay) for message in messages)


@pytest.fixture
def sent() -> Iterator[Sent]:
    before = door._route
    its = Sent()
    door.route(its)
    yield its
    door.route(before)


def test_one(invites: Queue[Invite], sent: Sent) -> None:
    its = queue_json_publish(invites, Invite("a@x"), delay=3, headers={"tenant": "ada", "n": 1})
    ((queue, message, delay),) = sent
    assert (queue, message.id, delay) == ("test_invites", its, 3.0)
    assert message.body == b'{"email":"a@x"}'
    assert message.headers == {"tenant": "ada", "n": 1}


def test_by_name(invites: Queue[Invite], sent: Sent) -> None:
    queue_json_publish("test_invites", {"email": "a@x"}, event_id="mine")
    assert sent[0][1].id == "mine"
    with pytest.raises(UnknownQueue, match="did you mean 'test_invites'"):
        queue_json_publish("test_invite", {})
    with pytest.raises(WrongPayload, match="missing required field `email`"):
        queue_json_publish("test_invites", {})
    assert len(sent) == 1


def test_a_version_travels(sent: Sent) -> None:
    second = Queue("test_second", Invite, version=2, upgrade=lambda data, version: data)
    queue_json_publish(second, Invite("a@x"))
    assert sent[0][1].headers == {h.VERSION: 2}


def test_a_key_travels(sent: Sent) -> None:
    ledger = Queue("test_ledger", Invite, order_by="email")
    queue_json_publish(ledger, Invite("ada@example.com"))
    queue_json_publish("test_ledger", {"email": "bob@example.com"})
    queue_json_publish_many(ledger, [Invite("eve@example.com"), Invite("ada@example.com")])
    keys = [message.headers[h.KEY] for _, message, _ in sent]
    assert keys == ["ada@example.com", "bob@example.com", "eve@example.com", "ada@example.com"]
    with pytest.raises(PostroomError, match="'test_ledger' has order_by, and a delayed event has no place"):
        queue_json_publish(ledger, Invite("ada@example.com"), delay=1)
    assert len(sent) == 4


def test_too_large(invites: Queue[Invite], sent: Sent) -> None:
    with pytest.raises(WrongPayload, match=r"is 112 bytes as JSON, its max_bytes is 100"):
        queue_json_publish(invites, Invite("x" * 100))
    assert not sent


@pytest.mark.parametrize("event_id", ["", "x" * 129, "a\nb", "\ud800", "\0"])
def test_ids(invites: Queue[Invite], sent: Sent, event_id: str) -> None:
    with pytest.raises(PostroomError, match="1 to 128 printable characters"):
        queue_json_publish(invites, Invite("a"), event_id=event_id)
    assert not sent


@pytest.mark.parametrize("delay", [-1, math.nan, math.inf, 366 * 86400])
def test_delays(invites: Queue[Invite], sent: Sent, delay: float) -> None:
    with pytest.raises(PostroomError, match="from 0 to a year"):
        queue_json_publish(invites, Invite("a"), delay=delay)
    assert not sent


@pytest.mark.parametrize(
    "headers",
    [
        {"postroom-attempts": 1},
        {"Postroom-X": 1},
        {"x-death": 1},
        {"": 1},
        {"é" * 65: 1},
        {"\ud800": 1},
        {3: "a"},
        {"a": "\ud800"},
        {"a": "é" * 4097},
        {"a": 2**63},
        {"a": 10**6000},
        {"a": math.nan},
        {"a": math.inf},
        {"a": None},
        {"a": b"x"},
        {"a": ["x"]},
        {f"n{n}": "x" * 8000 for n in range(1 + MOST_HEADERS // 8000)},
    ],
)
def test_headers(invites: Queue[Invite], sent: Sent, headers: Any) -> None:
    with pytest.raises(PostroomError, match="test_invites"):
        queue_json_publish(invites, Invite("a"), headers=headers)
    assert not sent


def test_many_are_checked_before_the_first_is_sent(invites: Queue[Invite], sent: Sent) -> None:
    bad: list[Any] = [Invite("a"), Invite("b"), 7]
    with pytest.raises(WrongPayload):
        queue_json_publish_many(invites, bad)
    assert not sent
    ids = queue_json_publish_many(invites, (Invite(str(n)) for n in range(2500)), headers={"x": 1})
    assert [message.id for _, message, _ in sent] == ids
    assert len(set(ids)) == 2500
    assert sent[0][1].headers is not sent[1][1].headers
    assert queue_json_publish_many(invites, []) == []


def test_on_a_running_loop(invites: Queue[Invite], sent: Sent) -> None:
    async def publish() -> str:
        with pytest.raises(PostroomError, match="await aqueue_json_publish instead"):
            queue_json_publish(invites, Invite("a"))
        with pytest.raises(PostroomError, match="would block the running event loop"):
            queue_json_publish_many(invites, [Invite("a")])
        return await aqueue_json_publish(invites, Invite("a"))

    its = asyncio.run(publish())
    assert [message.id for _, message, _ in sent] == [its]


def test_middleware_around_publish(invites: Queue[Invite], monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(middleware, "_publishing", [])
    monkeypatch.setenv("POSTROOM_BROKER", f"sqlite:///{tmp_path}/postroom.db")
    monkeypatch.setattr(door, "_broker", None)
    said: list[str] = []

    @middleware.around_publish
    def traced(queue: str, messages: list[Message]) -> Iterator[None]:
        for message in messages:
            message.headers["trace"] = "t1"
        yield
        said.append(f"{queue} {len(messages)}")

    queue_json_publish_many(invites, [Invite("a"), Invite("b")])
    assert said == ["test_invites 2"]
    assert [message.headers for message in door.broker().peek("test_invites", 5)] == [{"trace": "t1"}] * 2

    @middleware.around_publish
    def refuses(queue: str, messages: list[Message]) -> Iterator[None]:
        raise OSError("closed")
        yield

    with pytest.raises(OSError, match="closed"):
        queue_json_publish(invites, Invite("c"))
    assert door.broker().figures("test_invites").ready == 2
    door.broker().close()
