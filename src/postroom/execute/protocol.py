"""What consumer and executor say to one another, over a socket pair: MessagePack behind a four-byte length."""

import os
import socket
import threading
from typing import Any

import msgspec
from msgspec import Struct

from postroom.wire.message import Headers


class Start(Struct, tag=1, array_like=True):
    """Down, first: the application to import, and the settings that the consumer's flags override."""

    app: str
    flags: dict[str, str]
    path: list[str]
    foreground: bool


class QueueDeclaration(Struct, array_like=True):
    """A queue that has a worker, as the consumer needs to know it."""

    name: str
    kind: str
    max_attempts: int
    backoff: float
    max_crashes: int
    max_bytes: int
    version: int
    timeout: float | None
    concurrency: int
    processes: int
    prefetch: int | None
    batch_size: int
    batch_seconds: float
    recycle_events: int | None
    recycle_memory: int | None
    ordered: bool = False


class Declared(Struct, tag=2, array_like=True):
    """Up: all declarations, and where the broker is."""

    queues: list[QueueDeclaration]
    broker: str
    secrets: str | None


class StartFailed(Struct, tag=3, array_like=True):
    """Up: the application cannot be imported, or a worker cannot start. The text says why."""

    reason: str


class Serve(Struct, tag=4, array_like=True):
    """Down: the queues that this executor works for. A queue's place in the list is its lane; its slots in the
    page follow those of the lanes before it, one for each unit of concurrency."""

    queues: list[str]


class Ready(Struct, tag=5, array_like=True):
    """Up: workers are started, events may come."""


class Item(Struct, array_like=True, gc=False):
    """One event on its way down. ``seq`` is the consumer's number for it, and its place in the page."""

    seq: int
    id: str
    body: bytes
    headers: Headers
    published: float


class Work(Struct, tag=6, array_like=True):
    """Down: events of one lane: one by one, or as one batch."""

    lane: int
    batch: bool
    items: list[Item]


class Done(Struct, tag=7, array_like=True):
    """Up: consumed. ``seconds`` is what they took together, ``memory`` the executor's largest size in bytes."""

    lane: int
    seqs: list[int]
    seconds: float
    memory: int


class Failed(Struct, tag=8, array_like=True):
    """Up: not consumed. ``kind`` is one of:

    failed: it raised; rubbish: it cannot be decoded; newer: likewise, and its version is newer than ours;
    retry, bury, drop: the worker raised the signal of that name. ``after`` is the retry's delay in seconds;
    expired: a request that was not begun, as nobody waits for its reply any more.
    """

    lane: int
    seq: int
    kind: str
    error: str
    traceback: str
    after: float
    seconds: float


class Replied(Struct, tag=12, array_like=True):
    """Up: a request is consumed, and this is its reply, as JSON. Up at once: it must not be taken for done before."""

    lane: int
    seq: int
    body: bytes
    seconds: float


class Stop(Struct, tag=9, array_like=True):
    """Down: begin nothing more, finish what is in hand, exit."""


class GaveBack(Struct, tag=10, array_like=True):
    """Up, after Stop or Recall: these were not begun, and will not be."""

    seqs: list[int]


class Recall(Struct, tag=11, array_like=True):
    """Down: give back what is not begun of this lane."""

    lane: int


READ_AT_ONCE = 1 << 16
"""Bytes to read from the socket: from 128 KiB on malloc would map memory anew for each read."""

Down = Start | Serve | Work | Stop | Recall
Up = Declared | StartFailed | Ready | Done | Failed | Replied | GaveBack

_encode = msgspec.msgpack.Encoder().encode


def frame(message: Down | Up) -> bytes:
    """The message as it crosses the socket."""
    body = _encode(message)
    return len(body).to_bytes(4, "little") + body


class Frames:
    """Puts received bytes together to messages. ``kind``: Down or Up."""

    def __init__(self, kind: Any) -> None:
        self._buffer = bytearray()
        self._decode = msgspec.msgpack.Decoder(kind).decode

    def feed(self, data: bytes) -> list[Any]:
        """The messages that are complete by now."""
        buffer = self._buffer
        buffer += data
        messages = []
        start = 0
        while len(buffer) - start >= 4:
            end = start + 4 + int.from_bytes(buffer[start : start + 4], "little")
            if len(buffer) < end:
                break
            messages.append(self._decode(memoryview(buffer)[start + 4 : end].tobytes()))
            start = end
        del buffer[:start]
        return messages


class Uplink:
    """The executor's end for sending: any of its threads may."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()

    def send(self, message: Up) -> None:
        """Sends, and waits where the consumer is slow to read. When it is gone, so is this process, at once."""
        data = frame(message)
        with self._lock:
            try:
                self._sock.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                os._exit(1)
