"""What RabbitMQ sends, cut anywhere, arrives as pika would have read it."""

import asyncio
import itertools
import os
import random
import struct
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pika
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pika import exceptions, frame, spec
from pika.channel import ContentFrameAssembler
from tests.brokers.test_rabbitmq import Recorder, consuming
from tests.rabbit import RabbitNode

from postroom.brokers.rabbitmq import RabbitMQBroker, messages
from postroom.brokers.rabbitmq.consumer import RabbitMQHold
from postroom.brokers.rabbitmq.frames import Connection
from postroom.brokers.rabbitmq.receiving import Taken
from postroom.wire.message import Message, new_id

OURS, PIKAS = (1, 2, 700), (3, 4)
"""Channels whose messages are taken, and channels that are left to pika."""

numbers = itertools.count()


class Wire(Connection):
    """Our connection with no socket: ``arrived`` is what came out of it, in order within each channel."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(pika.ConnectionParameters(), custom_ioloop=loop, internal_connection_workflow=False)
        self.arrived: dict[int, list[Any]] = {}
        for channel in OURS:
            self.receiver.take(channel, partial(self._took, channel))

    def feed(self, stream: bytes, cuts: list[int]) -> None:
        edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
        for start, end in itertools.pairwise(edges):
            if start < end:
                self._on_data_available(stream[start:end])

    def _took(self, channel: int, taken: list[Taken]) -> None:
        of_channel = self.arrived.setdefault(channel, [])
        of_channel += [("message", tag, _properties(properties), body) for tag, properties, body in taken]

    def _process_frame(self, value: Any) -> None:
        if isinstance(value, frame.ProtocolHeader):
            self.arrived.setdefault(-1, []).append("protocol header")
            return
        if isinstance(value, frame.Header):
            value.properties = _properties(value.properties)
        self.arrived.setdefault(value.channel_number, []).append(_as_value(value))


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def _properties(encoded: Any) -> spec.BasicProperties:
    properties = spec.BasicProperties()
    properties.decode(encoded)
    return properties


def _as_value(value: Any) -> Any:
    if isinstance(value, frame.Method):
        return value.method.NAME, value.method.encode()
    if isinstance(value, frame.Header):
        return "header", value.body_size, value.properties
    return ("body", value.fragment) if isinstance(value, frame.Body) else "heartbeat"


def read_by_pika(stream: bytes) -> dict[int, list[Any]]:
    """What ``Wire.arrived`` must be, by pika's decoding and nothing else."""
    arrived: dict[int, list[Any]] = {}
    assemblers = {channel: ContentFrameAssembler() for channel in OURS}
    open_messages = set()
    while stream:
        used, value = frame.decode_frame(stream)
        assert value is not None
        assert not isinstance(value, frame.ProtocolHeader)
        stream = stream[used:]
        channel = value.channel_number
        if isinstance(value, frame.Method) and isinstance(value.method, spec.Basic.Deliver) and channel in OURS:
            open_messages.add(channel)
        whole: Any = None
        if channel in open_messages and (not isinstance(value, frame.Method) or value.method.NAME == "Basic.Deliver"):
            whole = assemblers[channel].process(value)  # type: ignore[arg-type]
        else:
            arrived.setdefault(channel, []).append(_as_value(value))
        if whole is not None:
            open_messages.discard(channel)
            method, header, body = whole
            arrived.setdefault(channel, []).append(("message", method.method.delivery_tag, header.properties, body))
    return arrived


# Streams

texts = st.text(max_size=8)
ids = st.none() | st.text(st.characters(codec="ascii"), max_size=40)
tables = st.none() | st.dictionaries(texts, texts | st.booleans() | st.integers(-(2**31), 2**31 - 1), max_size=4)
foreign = st.builds(
    lambda headers, identity, seconds, priority: b"".join(
        pika.BasicProperties(
            headers=headers, message_id=identity, timestamp=seconds, priority=priority, content_type="text/plain"
        ).encode()
    ),
    *(tables, ids, st.none() | st.integers(0, 2**40), st.none() | st.integers(0, 9)),
)
plain = st.builds(lambda: messages.encode(Message(new_id(), b"", {}, time.time())))
bodies = st.binary(max_size=60) | st.integers(0, 4000).map(lambda size: random.Random(size).randbytes(size))
contents = st.tuples(foreign | plain, bodies, st.sampled_from([8, 50, 131_064]), st.booleans())
delivers = st.builds(spec.Basic.Deliver, texts, st.integers(1, 2**63), st.booleans(), texts, texts)
others_with_content = st.builds(spec.Basic.GetOk, st.integers(1, 99), st.booleans(), texts, texts, st.just(0)) | (
    st.builds(spec.Basic.Return, st.just(312), texts, texts, texts)
)
without_content = st.builds(spec.Basic.Cancel, texts) | st.builds(spec.Basic.QosOk) | st.builds(spec.Channel.CloseOk)


@st.composite
def of_a_channel(draw: st.DrawFn, channel: int) -> list[bytes]:
    """The frames of a channel, in their order."""
    frames = []
    for method in draw(st.lists(delivers | delivers | others_with_content | without_content, max_size=6)):
        frames.append(frame.Method(channel, method).marshal())
        if spec.has_content(method.INDEX):
            properties, body, room, empty_frame = draw(contents)
            frames.append(header(channel, properties, len(body)))
            pieces = [body[start : start + room] for start in range(0, len(body), room)]
            if empty_frame and pieces:
                pieces.insert(0, b"")
            frames += [frame.Body(channel, piece).marshal() for piece in pieces]
    return frames


def header(channel: int, properties: bytes, body_size: int) -> bytes:
    content = struct.pack(">HHQ", 60, 0, body_size) + properties
    return struct.pack(">BHI", 2, channel, len(content)) + content + b"\xce"


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """The frames of several channels, and heartbeats, between each other in any way."""
    channels = [draw(of_a_channel(channel)) for channel in draw(st.sets(st.sampled_from(OURS + PIKAS), min_size=1))]
    blocked = frame.Method(0, spec.Connection.Blocked("low on memory")).marshal()
    channels.append(draw(st.lists(st.sampled_from([frame.Heartbeat().marshal(), blocked]), max_size=3)))
    order = draw(st.randoms(use_true_random=False))
    stream = []
    while channels := [frames for frames in channels if frames]:
        one = order.choice(channels)
        count = order.choice((1, 3, 20))
        stream += one[:count]
        del one[:count]
    return b"".join(stream)


cuts = st.lists(st.integers(1, 9000), max_size=30) | st.just(list(range(1, 3000)))


@settings(max_examples=200, deadline=None)
@given(stream=streams(), cuts=cuts)
def test_any_stream_cut_anywhere_arrives_as_pika_reads_it(
    loop: asyncio.AbstractEventLoop, stream: bytes, cuts: list[int]
) -> None:
    wire = Wire(loop)
    wire.feed(stream, cuts)
    assert wire.arrived == read_by_pika(stream)
    assert wire.bytes_received == len(stream)  # pika's heartbeat check reads it


@pytest.mark.parametrize("channels", sorted(set(itertools.permutations([1, 1, 1, 2, 2, 2]))), ids=str)
def test_two_messages_between_each_other(loop: asyncio.AbstractEventLoop, channels: tuple[int, ...]) -> None:
    frames = {1: a_message(1, b"[1]"), 2: a_message(2, b"[2]")}
    stream = b"".join(frames[channel].pop(0) for channel in channels)
    wire = Wire(loop)
    wire.feed(stream, [])
    assert wire.arrived == read_by_pika(stream)


@settings(max_examples=100, deadline=None)
@given(properties=foreign | plain)
def test_properties_are_read_as_pika_reads_them(properties: bytes) -> None:
    read = _properties(properties)
    received, _ = messages.decode(properties, b"")
    assert received.id == read.message_id or (not read.message_id and len(received.id) == 26)
    ours = {name: value for name, value in (read.headers or {}).items() if name != messages.PUBLISHED}
    assert received.headers == ours
    if read.timestamp is not None:
        assert int(received.published) == read.timestamp


# What is wrong


def a_message(channel: int, body: bytes = b"{}", size: int | None = None) -> list[bytes]:
    return [
        frame.Method(channel, spec.Basic.Deliver("me", 7, False, "", "queue")).marshal(),
        header(channel, b"\0\0", len(body) if size is None else size),
        frame.Body(channel, body).marshal(),
    ]


SHORT_HEADER = struct.pack(">BHIHHQ", 2, 1, 12, 60, 0, 90) + b"\xce"


@pytest.mark.parametrize("cuts", [[], list(range(1, 500))])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_wrong_end_mark_ends_the_connection(loop: asyncio.AbstractEventLoop, number: int, cuts: list[int]) -> None:
    frames = a_message(1)
    frames[number] = frames[number][:-1] + b"\xcd"
    wire = Wire(loop)
    with pytest.raises(exceptions.InvalidFrameError):
        wire.feed(b"".join(a_message(1) + frames), cuts)
    assert [entry[1] for entry in wire.arrived[1]] == [7]


@pytest.mark.parametrize("cuts", [[], list(range(1, 500))])
@pytest.mark.parametrize(
    ("frames", "error"),
    [
        (a_message(1, b"{}", 1), exceptions.BodyTooLongError),
        ([a_message(1)[0], a_message(1)[2]], exceptions.InvalidFrameError),
        ([*a_message(1, b"{}", 5), a_message(1)[1]], exceptions.InvalidFrameError),
        ([a_message(1)[0], SHORT_HEADER, a_message(1, b"x" * 90)[2]], exceptions.InvalidFrameError),
        ([struct.pack(">BHI", 1, 1, 5) + b"\0\x3c\0\x3c\xff\xce"], exceptions.InvalidFrameError),
        ([struct.pack(">BHI", 3, 1, 1 << 31)], exceptions.InvalidFrameError),
        ([b"\x63\0\1\0\0\0\1a\xce"], exceptions.InvalidFrameError),
    ],
    ids=["body too long", "no header", "second header", "short header", "short deliver", "huge", "unknown kind"],
)
def test_what_is_no_message_ends_the_connection(
    loop: asyncio.AbstractEventLoop, frames: list[bytes], error: type[Exception], cuts: list[int]
) -> None:
    with pytest.raises(error):
        Wire(loop).feed(b"".join(frames), cuts)


@pytest.mark.parametrize("cuts", [[], list(range(1, 8))])
def test_another_protocol_is_pikas_to_refuse(loop: asyncio.AbstractEventLoop, cuts: list[int]) -> None:
    wire = Wire(loop)
    wire.feed(b"AMQP\0\0\x09\x01", cuts)
    assert wire.arrived == {-1: ["protocol header"]}


def test_a_channel_that_is_left_begins_anew_under_its_number(loop: asyncio.AbstractEventLoop) -> None:
    wire = Wire(loop)
    wire.feed(b"".join(a_message(1)[:2]), [])
    wire.receiver.leave(1)
    wire.feed(b"".join(a_message(1)), [])
    assert [entry[0] for entry in wire.arrived[1]] == ["Basic.Deliver", "header", "body"]
    wire.receiver.take(1, partial(wire._took, 1))
    wire.feed(b"".join(a_message(1)), [])
    assert wire.arrived[1][-1][0] == "message"


# On a broker


@pytest.fixture
def small_frames(rabbit_node: RabbitNode) -> Iterator[RabbitMQBroker]:
    rabbit_node.control("eval", "application:set_env(rabbit, frame_max, 4096).")
    broker = RabbitMQBroker(rabbit_node.url, None)
    try:
        yield broker
    finally:
        broker.close()
        rabbit_node.control("eval", "application:set_env(rabbit, frame_max, 131072).")


def test_bodies_of_any_size_in_frames_of_4_kib(small_frames: RabbitMQBroker) -> None:
    queue = f"frames-{os.getpid()}-{next(numbers)}"
    sizes = [0, 1, 4087, 4088, 4089, 8176, 8177, 100_000, 2**20, 300]
    sent = [Message(new_id(), random.Random(size).randbytes(size), {}, 1.5) for size in sizes]
    sent.append(Message(new_id(), b"[]", {"note": "x" * 2000, "b": True}, 2.5))
    small_frames.publish(queue, sent, 0, 10)

    async def body(hold: RabbitMQHold, recorder: Recorder) -> None:
        hold.subscribe(queue, 5)
        recorder.act = hold.ack
        await recorder.until(lambda: len(recorder.deliveries) == len(sent))
        assert hold._taking.link is not None
        assert hold._taking.link.max_frame == 4096
        assert [delivery.message for delivery in recorder.deliveries] == sent

    consuming(small_frames, body)
    assert small_frames.figures(queue).ready == 0
