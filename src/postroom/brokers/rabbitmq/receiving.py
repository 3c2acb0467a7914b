"""Received bytes, taken apart: messages by fixed offsets for who takes them so, all other frames for pika.

pika makes a dozen objects of each delivery; here it is a tag and two slices of what was read.
https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf, section 4.2
"""

import struct
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from pika import exceptions

Taken = tuple[int, bytes, bytes]
"""A message that was delivered: its delivery tag, its properties as they came, its body."""

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END: Final = 0xCE
DELIVER: Final = 60 << 16 | 60
BASIC: Final = 60

FRAME: Final = struct.Struct(">BHI")  # kind, channel, size of what follows up to the end mark
_DELIVER = struct.Struct(">BHIIB")  # the same, then the method and the length of the consumer's tag
_HEADER = struct.Struct(">BHIHHQ")  # the same, then the class, an unused number and the size of the body
_TAG = struct.Struct(">Q")
_AROUND = FRAME.size + 1  # what a frame takes beside its content
_SHORTEST_DELIVER = 4 + 1 + 8 + 1 + 1 + 1  # method; lengths of three texts; tag; redelivered
_SHORTEST_HEADER = 2 + 2 + 8 + 2  # class, unused, size of the body, flags
_LONGEST = 131_072  # what pika asks for, and the broker may only lower


class Content(Struct, eq=False):
    """A message that is not here whole."""

    tag: int
    pieces: list[bytes] = []
    properties: bytes | None = None  # until its header is here
    missing: int = 0  # bytes of its body


class Receiver:
    """What one connection receives.

    ``pass_on`` gets each frame that is not taken here, whole: pika's own; or, where the bytes are no frame that
    AMQP knows, all of them. It returns how many it has used, 0 for "more are needed".
    """

    def __init__(self, pass_on: Callable[[bytes], int]) -> None:
        self._pass_on = pass_on
        self._takers: dict[int, Callable[[list[Taken]], None]] = {}
        self._taken: dict[int, list[Taken]] = {}  # since the last hand-over, by channel
        self._contents: dict[int, Content] = {}
        self._rest = bytearray()
        self._needed = 0  # bytes, before the rest is worth a look

    def take(self, channel: int, arrived: Callable[[list[Taken]], None]) -> None:
        """From now on what is delivered on this channel goes to ``arrived``, oldest first, in lists."""
        self._takers[channel] = arrived
        self._taken[channel] = []

    def leave(self, channel: int) -> None:
        """Ends ``take``: the channel is closed, and its number may be used for another one."""
        for of_channel in (self._takers, self._taken, self._contents):
            of_channel.pop(channel, None)

    def feed(self, data: bytes) -> None:
        """Takes what was read. Raises pika's exceptions over what is no AMQP: the connection is to be ended."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data = bytes(self._rest)
            self._rest.clear()
        start = 0
        while start < len(data):
            start = self._messages(data, start)
            used = self._frame(data, start)
            if not used:
                break
            start += used
        self._hand_over()
        if start < len(data):
            self._rest += data[start:]

    def _messages(self, data: bytes, start: int) -> int:
        """Takes the messages that are here whole, in three frames each, as most are. Returns where they end."""
        size, taken = len(data), self._taken
        while start + _DELIVER.size <= size:
            kind, channel, length, method, name = _DELIVER.unpack_from(data, start)
            mine = taken.get(channel)
            header = start + length + _AROUND
            if mine is None or kind != METHOD or method != DELIVER or header + _HEADER.size > size:
                break
            h_kind, h_channel, h_length, h_class, _, body_size = _HEADER.unpack_from(data, header)
            body = header + h_length + _AROUND
            end = body + body_size + _AROUND
            if not body_size or end > size:
                break
            b_kind, b_channel, b_length = FRAME.unpack_from(data, body)
            if (
                (h_kind, h_class, b_kind, b_length) != (HEADER, BASIC, BODY, body_size)
                or not h_channel == b_channel == channel
                or not data[header - 1] == data[body - 1] == data[end - 1] == END
                or length < _SHORTEST_DELIVER + name
                or h_length < _SHORTEST_HEADER
            ):
                break
            (tag,) = _TAG.unpack_from(data, start + _DELIVER.size + name)
            mine.append((tag, data[header + 19 : body - 1], data[body + 7 : end - 1]))
            start = end
        return start

    def _frame(self, data: bytes, start: int) -> int:
        """Takes one frame, or passes it on. Returns its size, 0 if it is not here whole."""
        if start + FRAME.size > len(data):
            self._needed = FRAME.size
            return 0
        kind, channel, length = FRAME.unpack_from(data, start)
        size: int = length + _AROUND
        if kind not in (METHOD, HEADER, BODY, HEARTBEAT):
            self._needed = 0
            return self._pass_on(data[start:])
        if size > _LONGEST:
            raise exceptions.InvalidFrameError(f"a frame of {size:,} bytes")
        if start + size > len(data):
            self._needed = size
            return 0
        frame = data[start : start + size]
        if frame[-1] != END or not self._is_of_message(kind, channel, frame):
            # In order: a method may end what the messages before it belong to.
            self._hand_over()
            return self._pass_on(frame)
        return size

    def _is_of_message(self, kind: int, channel: int, frame: bytes) -> bool:
        """Takes the frame if it is part of a message that is delivered on a channel that takes."""
        content = self._contents.get(channel)
        if kind == METHOD:
            if channel not in self._taken or frame[7:11] != b"\0\x3c\0\x3c":
                return False
            name = frame[11]
            if len(frame) - _AROUND < _SHORTEST_DELIVER + name:
                raise exceptions.InvalidFrameError("a basic.deliver is cut short")
            (tag,) = _TAG.unpack_from(frame, _DELIVER.size + name)
            self._contents[channel] = Content(tag)
            return True
        if content is None or kind == HEARTBEAT:
            return False
        if kind == HEADER:
            self._begin_body(content, channel, frame)
        elif content.properties is None:
            raise exceptions.InvalidFrameError("a body came before its header")
        else:
            self._add_to_body(content, channel, frame)
        return True

    def _begin_body(self, content: Content, channel: int, frame: bytes) -> None:
        if len(frame) - _AROUND < _SHORTEST_HEADER:
            raise exceptions.InvalidFrameError("a content header is cut short")
        _, _, _, of_class, _, content.missing = _HEADER.unpack_from(frame)
        if of_class != BASIC or content.properties is not None:
            raise exceptions.InvalidFrameError("a content header that belongs to no message")
        content.properties = frame[19:-1]
        if not content.missing:
            self._complete(content, channel)

    def _add_to_body(self, content: Content, channel: int, frame: bytes) -> None:
        content.pieces.append(frame[7:-1])
        content.missing -= len(frame) - _AROUND
        if content.missing < 0:
            size = sum(map(len, content.pieces))
            raise exceptions.BodyTooLongError(size, size + content.missing)
        if not content.missing:
            self._complete(content, channel)

    def _complete(self, content: Content, channel: int) -> None:
        del self._contents[channel]
        assert content.properties is not None
        self._taken[channel].append((content.tag, content.properties, b"".join(content.pieces)))

    def _hand_over(self) -> None:
        for channel, messages in list(self._taken.items()):
            if messages:
                self._taken[channel] = []
                self._takers[channel](messages)
