"""AMQP frames that pika makes or reads too slowly, or wrongly. All others stay pika's."""

import struct
from collections.abc import Callable
from typing import Any

from pika import exceptions, frame
from pika.adapters.asyncio_connection import AsyncioConnection

from .receiving import Receiver
from .tables import short_text

_FRAME = struct.Struct(">BHI")
_METHOD, _HEADER, _BODY, _END = 1, 2, 3, b"\xce"
_BASIC_PUBLISH = struct.pack(">HHH", 60, 40, 0)
_MANDATORY = b"\x01"
_CONTENT = struct.Struct(">HHQ")
_CONTENT_HEADER = struct.Struct(">BHIHHQ")
_BODY_HEADER = struct.Struct(">cBHI")  # with the end of the frame before
_SETTLE = struct.Struct(">BHIHHQBB")  # a basic.ack or basic.nack, whole, sent or received
_READ_AT_ONCE = 1 << 16  # from 128 KiB on malloc would map memory anew for each read


class Connection(AsyncioConnection):
    """pika's connection, but what arrives goes through ``receiver`` first, and the properties of the messages that
    are left to pika are the bytes they are, to be decoded by us.

    ``confirms``: by channel, who is told of a confirmed tag, whether it stands for all up to it, and whether it is
    positive.
    """

    def _init_connection_state(self) -> None:
        super()._init_connection_state()  # type: ignore[misc]
        self.receiver = Receiver(self._of_pika)
        self.confirms: dict[int, Callable[[int, bool, bool], None]] = {}

    def _proto_connection_made(self, transport: Any) -> None:
        transport._MAX_RECV_BYTES = _READ_AT_ONCE
        if getattr(self.params, "ssl_options", None) is None:
            # Once a turn: more would only find out that nothing is left. TLS may hold what no turn is told of.
            transport._MAX_CONSUME_BYTES = 1
        super()._proto_connection_made(transport)  # type: ignore[misc]

    def _on_data_available(self, data_in: bytes) -> None:
        self.bytes_received += len(data_in)  # pika's heartbeat check reads it
        self.receiver.feed(data_in)

    def _of_pika(self, data: bytes) -> int:
        if len(data) == _SETTLE.size:
            kind, channel, _, group, method, tag, bits, _ = _SETTLE.unpack(data)
            if kind == _METHOD and group == 60 and method in (80, 120) and channel in self.confirms:
                self.confirms[channel](tag, bits & 1 == 1, method == 80)
                return len(data)
        used, value = _decoded(data)
        if value is not None:
            self._process_frame(value)  # type: ignore[attr-defined]
        return used

    def write(self, data: bytes) -> None:
        """Sends frames that are made already: now, as far as the socket takes them, and the rest when it does."""
        transport: Any = self._transport  # type: ignore[attr-defined]
        if transport is not None and transport._state == transport._STATE_ACTIVE and not transport._tx_buffers:
            sent = _send(transport, data)
            self.bytes_sent += sent
            data = data[sent:]
        if data:
            self._output_marshaled_frames([data])  # type: ignore[attr-defined]

    def terminate(self, why: str) -> None:
        """Cuts the connection without a word to the broker."""
        if not self.is_closed:
            self._terminate_stream(exceptions.AMQPConnectionError(why))  # type: ignore[attr-defined]


def _send(transport: Any, data: bytes) -> int:
    """How much of it the socket takes. Whatever it cannot, the loop meets again when it sends the rest."""
    if getattr(transport, "_ssl_writable_action", None) is not None:
        return 0
    try:
        return int(transport._sock.send(data))
    except OSError:
        return 0


def _decoded(data: bytes) -> tuple[int, Any]:
    """As pika's ``decode_frame``, but the properties are the bytes they are."""
    if data[:1] != b"\x02" or data[-1:] != _END:
        return frame.decode_frame(data)
    _, channel, _ = _FRAME.unpack_from(data)
    _, _, body_size = _CONTENT.unpack_from(data, _FRAME.size)
    return len(data), frame.Header(channel, body_size, data[19:-1])  # type: ignore[arg-type]


def method(channel: int, exchange: str, key: str) -> bytes:
    """The frame of a ``basic.publish`` with ``mandatory`` set."""
    arguments = b"".join((_BASIC_PUBLISH, short_text(exchange), short_text(key), _MANDATORY))
    return b"".join((_FRAME.pack(_METHOD, channel, len(arguments)), arguments, _END))


def add_content(pieces: list[bytes], channel: int, properties: bytes, body: bytes, room: int) -> None:
    """Adds the frames that follow it: the properties, and the body in frames of at most ``room`` bytes."""
    size = len(body)
    pieces.append(_CONTENT_HEADER.pack(_HEADER, channel, 12 + len(properties), 60, 0, size))
    pieces.append(properties)
    if 0 < size <= room:
        pieces += (_BODY_HEADER.pack(_END, _BODY, channel, size), body, _END)
        return
    for start in range(0, size, room):
        part = body[start : start + room]
        pieces += (_BODY_HEADER.pack(_END, _BODY, channel, len(part)), part)
    pieces.append(_END)


def ack(channel: int, tag: int, multiple: bool) -> bytes:
    """The frame of a ``basic.ack``."""
    return _SETTLE.pack(_METHOD, channel, 13, 60, 80, tag, multiple, 0xCE)


def give_back(channel: int, tag: int) -> bytes:
    """The frame of a ``basic.nack`` of one message, back to its queue."""
    return _SETTLE.pack(_METHOD, channel, 13, 60, 120, tag, 2, 0xCE)
