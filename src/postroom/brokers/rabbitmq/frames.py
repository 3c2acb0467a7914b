"""AMQP frames that pika makes or reads too slowly, or wrongly. All others stay pika's."""

import struct
from typing import Any

from pika import exceptions, frame
from pika.adapters.asyncio_connection import AsyncioConnection

from .tables import short_text

_FRAME = struct.Struct(">BHI")
_METHOD, _HEADER, _BODY, _END = 1, 2, 3, b"\xce"
_BASIC_PUBLISH = struct.pack(">HHH", 60, 40, 0)
_MANDATORY = b"\x01"
_CONTENT = struct.Struct(">HHQ")


class Connection(AsyncioConnection):
    """pika's connection, but a message's properties arrive as the bytes they are, to be decoded by us."""

    def _read_frame(self) -> tuple[int, Any]:
        buffer: bytes = self._frame_buffer  # type: ignore[attr-defined]
        if buffer[:1] != b"\x02" or len(buffer) < 7:
            return super()._read_frame()  # type: ignore[misc, no-any-return]
        _, channel, size = _FRAME.unpack_from(buffer)
        end = 7 + size
        if len(buffer) <= end:
            return 0, None
        if buffer[end : end + 1] != _END:
            raise exceptions.InvalidFrameError("Invalid FRAME_END marker")
        _, _, body_size = _CONTENT.unpack_from(buffer, 7)
        return end + 1, frame.Header(channel, body_size, buffer[19:end])  # type: ignore[arg-type]

    def write(self, data: bytes) -> None:
        """Sends frames that are made already: now, not when the loop has asked whether it may."""
        self._output_marshaled_frames([data])  # type: ignore[attr-defined]
        transport = self._transport  # type: ignore[attr-defined]
        if transport is not None and transport.get_write_buffer_size() == len(data):
            transport._on_socket_writable()

    def terminate(self, why: str) -> None:
        """Cuts the connection without a word to the broker."""
        if not self.is_closed:
            self._terminate_stream(exceptions.AMQPConnectionError(why))  # type: ignore[attr-defined]


def publish(channel: int, exchange: str, key: str, properties: bytes, body: bytes, max_size: int) -> bytes:
    """The frames of one ``basic.publish`` with ``mandatory`` set; ``max_size`` is what a frame may take."""
    method = b"".join((_BASIC_PUBLISH, short_text(exchange), short_text(key), _MANDATORY))
    pieces = [
        _FRAME.pack(_METHOD, channel, len(method)),
        method,
        _END,
        _FRAME.pack(_HEADER, channel, 12 + len(properties)),
        _CONTENT.pack(60, 0, len(body)),
        properties,
        _END,
    ]
    room = max_size - 8
    for start in range(0, len(body), room):
        part = body[start : start + room]
        pieces += (_FRAME.pack(_BODY, channel, len(part)), part, _END)
    return b"".join(pieces)
