"""A message as AMQP properties, and back. Every AMQP program can write and read these."""

import struct
import time
from collections.abc import Mapping
from typing import Final

from postroom.wire.headers import CORRELATION, PREFIX, REPLY_TO
from postroom.wire.message import Header, Headers, Message, new_id
from postroom.wire.reply import Reply

from . import tables

PUBLISHED: Final = "postroom-published"  # the property `timestamp` has whole seconds only
RETURNS: Final = "x-delivery-count"

# A content header travels in one frame, and frames are 131,072 bytes by default.
MAX_PROPERTIES: Final = 120_000

# Headers by which the broker speaks. Sent back to it they do harm: a copied x-death makes it see a cycle.
_OF_THE_BROKER = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")
# The broker reads these as lists of further queues, and closes the channel over anything else.
_RESERVED = ("CC", "BCC")

_FLAGS = struct.Struct(">H")
_SECONDS = struct.Struct(">Q")
_CONTENT_TYPE, _CONTENT_ENCODING, _HEADERS, _DELIVERY_MODE, _PRIORITY = 1 << 15, 1 << 14, 1 << 13, 1 << 12, 1 << 11
_CORRELATION_ID, _REPLY_TO, _EXPIRATION, _MESSAGE_ID, _TIMESTAMP = 1 << 10, 1 << 9, 1 << 8, 1 << 7, 1 << 6
_USER_ID = 1 << 4
_SIZES: Final = {_DELIVERY_MODE: 1, _PRIORITY: 1, _TIMESTAMP: 8}  # in bytes; the others begin with their own
_SENT = _FLAGS.pack(_CONTENT_TYPE | _HEADERS | _DELIVERY_MODE | _MESSAGE_ID | _TIMESTAMP)
_ASKING = _FLAGS.pack(
    _CONTENT_TYPE | _HEADERS | _DELIVERY_MODE | _CORRELATION_ID | _REPLY_TO | _MESSAGE_ID | _TIMESTAMP
)
_JSON = tables.short_text("application/json")
_PERSISTENT = b"\x02"
# What nearly every message of our own begins with: no header but the time, which follows. Then comes how it is kept,
# and the length of its id.
_PLAIN = _SENT + _JSON + tables.encode({PUBLISHED: 0.0})[:-8]
_PLAIN_REST = struct.Struct(">dBB")
_PLAIN_ID = len(_PLAIN) + _PLAIN_REST.size


def encode(message: Message, headers: Mapping[str, Header] | None = None) -> bytes:
    """The properties of ``message``, with ``headers`` instead of its own where given.

    Raises ValueError for what AMQP cannot carry, with the reason.
    """
    identity = _identity(message)
    seconds = _SECONDS.pack(min(max(0, int(message.published)), 2**63 - 1))
    if not message.headers and not headers:
        moment = _PLAIN_REST.pack(message.published, _PERSISTENT[0], len(identity))
        return b"".join((_PLAIN, moment, identity, seconds))
    sent: Headers = {}
    for name, value in (message.headers if headers is None else headers).items():
        if name in _RESERVED:
            raise ValueError(f"the header {name!r} is reserved by RabbitMQ")
        if not name.startswith(_OF_THE_BROKER):
            sent[name] = value
    sent[PUBLISHED] = float(message.published)
    flags, address = _SENT, b""
    if REPLY_TO in sent:  # travels as every AMQP program expects it
        reply_to, correlation = str(sent.pop(REPLY_TO)), str(sent.pop(CORRELATION, message.id))
        flags, address = _ASKING, tables.short_text(correlation) + tables.short_text(reply_to)
    rest = (_PERSISTENT, address, bytes((len(identity),)), identity, seconds)
    encoded = b"".join((flags, _JSON, tables.encode(sent), *rest))
    if len(encoded) > MAX_PROPERTIES:
        raise ValueError(f"the headers take {len(encoded):,} bytes: {MAX_PROPERTIES:,} is the limit")
    return encoded


def _identity(message: Message) -> bytes:
    identity = message.id.encode()
    if len(identity) > 255:
        raise ValueError(f"the event's id {message.id[:40]!r}… is longer than 255 bytes")
    return identity


def encode_shortened(message: Message, headers: Headers) -> bytes:
    """As ``encode``, but long texts in ``headers`` are cut, and a foreign program's headers left out, until they
    fit: neither a traceback nor a stranger may stop a burial."""
    while True:
        try:
            return encode(message, headers)
        except ValueError:
            longest = max(headers, key=lambda name: len(str(headers[name])), default="")
            foreign = [name for name in headers if not name.startswith(PREFIX)]
            if longest and len(str(headers[longest])) >= 1024:
                headers = {**headers, longest: str(headers[longest])[: len(str(headers[longest])) // 2]}
            elif foreign:
                gone = set(foreign[len(foreign) // 2 :])
                headers = {name: value for name, value in headers.items() if name not in gone}
            else:
                raise


def decode(properties: bytes, body: bytes) -> tuple[Message, int]:
    """The message, and how often the broker says it was handed out before and came back. Never raises:
    a foreign program may have sent anything, and where its properties make no sense they count as absent."""
    if properties.startswith(_PLAIN) and len(properties) > _PLAIN_ID + 8:
        # To the byte what ``encode`` makes of a message without headers.
        published, _, length = _PLAIN_REST.unpack_from(properties, len(_PLAIN))
        plain_id = properties[_PLAIN_ID:-8]
        if len(plain_id) == length and plain_id.isascii() and -(2**53) < published < 2**53:
            return Message(plain_id.decode(), body, {}, published), 0
    try:
        identity, headers, seconds, _ = _read(properties)
    except (ValueError, IndexError, struct.error):
        identity, headers, seconds = "", {}, None
    returns = headers.get(RETURNS, 0)
    published = headers.pop(PUBLISHED, None)
    if not isinstance(published, float) or not abs(published) < 2**53:
        published = time.time() if seconds is None else float(seconds)
    kept = {name: value for name, value in headers.items() if not name.startswith(_OF_THE_BROKER)}
    message = Message(id=identity or new_id(), body=body, headers=kept, published=published)
    return message, returns if isinstance(returns, int) else 0


def carried(properties: bytes) -> bytes:
    """The properties for the message's way into another queue: byte for byte, but for what the broker would act upon,
    and for the user's name, which it would compare with ours."""
    (flags,) = _FLAGS.unpack_from(properties)
    offset = 2
    kept = []
    for bit in range(15, 1, -1):
        flag = 1 << bit
        if not flags & flag:
            continue
        start = offset
        if flag == _HEADERS:
            piece, offset = tables.without(properties, offset, _is_the_brokers)
        else:
            offset += _SIZES.get(flag) or 1 + properties[offset]
            piece = properties[start:offset]
        if flag != _USER_ID:
            kept.append(piece)
    return _FLAGS.pack(flags & ~_USER_ID) + b"".join(kept)


def _is_the_brokers(name: str) -> bool:
    return name.startswith(_OF_THE_BROKER) or name in _RESERVED


def decode_reply(properties: bytes, body: bytes) -> tuple[str, Reply]:
    """A reply, and which request it answers. Never raises, as ``decode``."""
    try:
        _, headers, _, correlation = _read(properties)
    except (ValueError, IndexError, struct.error):
        headers, correlation = {}, ""
    return correlation, Reply(headers, body)


def identity(properties: bytes) -> str:
    """The message's id; empty where it has none."""
    return _read(properties)[0]


def _read(properties: bytes) -> tuple[str, Headers, int | None, str]:
    """The id, the headers, with the address for a reply among them, the time and the correlation id."""
    (flags,) = _FLAGS.unpack_from(properties)
    offset = 2
    headers: Headers = {}
    seconds: int | None = None
    if flags & _CONTENT_TYPE:
        offset += 1 + properties[offset]
    if flags & _CONTENT_ENCODING:
        offset += 1 + properties[offset]
    if flags & _HEADERS:
        headers, offset = tables.decode(properties, offset)
    if flags & _DELIVERY_MODE:
        offset += 1
    if flags & _PRIORITY:
        offset += 1
    correlation = ""
    if flags & _CORRELATION_ID:
        correlation, offset = _short(properties, offset)
    if flags & _REPLY_TO:
        headers[REPLY_TO], offset = _short(properties, offset)
        headers[CORRELATION] = correlation
    if flags & _EXPIRATION:
        offset += 1 + properties[offset]
    identity = ""
    if flags & _MESSAGE_ID:
        identity, offset = _short(properties, offset)
    if flags & _TIMESTAMP:
        (seconds,) = _SECONDS.unpack_from(properties, offset)
    return identity, headers, seconds, correlation


def _short(properties: bytes, offset: int) -> tuple[str, int]:
    """The short text there, and where it ends."""
    end = offset + 1 + properties[offset]
    return properties[offset + 1 : end].decode("utf-8", "replace"), end
