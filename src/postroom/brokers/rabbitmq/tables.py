"""AMQP field tables: the headers of a message, as bytes.

pika cannot send a float and cuts received ones to whole numbers, so this is done here.
"""

import struct
from collections.abc import Callable, Mapping

from postroom.wire.message import Header, Headers

_SIZE = struct.Struct(">I")
_LONG = struct.Struct(">q")
_DOUBLE = struct.Struct(">d")


def short_text(text: str) -> bytes:
    """A text of at most 255 bytes. Raises ValueError."""
    encoded = text.encode()
    if len(encoded) > 255:
        raise ValueError(f"{text[:40]!r}… is longer than 255 bytes")
    return bytes((len(encoded),)) + encoded


def encode(headers: Mapping[str, Header]) -> bytes:
    """The table. Raises ValueError for a name over 255 bytes, a number over 64 bits, or another type."""
    pieces = [b""]
    for name, value in headers.items():
        pieces.append(short_text(name))
        if isinstance(value, str):
            encoded = value.encode("utf-8", "surrogatepass")
            pieces += (b"S", _SIZE.pack(len(encoded)), encoded)
        elif isinstance(value, bool):
            pieces.append(b"t\x01" if value else b"t\x00")
        elif isinstance(value, float):
            pieces.append(b"d" + _DOUBLE.pack(value))
        elif isinstance(value, int):
            if not -(2**63) <= value < 2**63:
                raise ValueError(f"the header {name!r} is a number of more than 64 bits")
            pieces.append(b"l" + _LONG.pack(value))
        else:
            raise ValueError(f"the header {name!r} is a {type(value).__name__}, not text, a number or a bool")
    table = b"".join(pieces)
    return _SIZE.pack(len(table)) + table


# Kinds of a fixed size. What Python's unpacking gives is the value, but for the ones in _decode.
_CODES = {"t": "?", "b": "b", "B": "B", "s": "h", "U": "h", "u": "H", "I": "i", "i": "I"}
_CODES |= {"L": "q", "l": "q", "T": "q", "f": "f", "d": "d"}
_FIXED = {ord(kind): struct.Struct(">" + code) for kind, code in _CODES.items()}
_SIZED = b"SxAF"


def decode(data: bytes, offset: int) -> tuple[Headers, int]:
    """The table that starts at ``offset``, and where it ends.

    Only text, numbers and booleans are kept; a moment becomes its seconds, a decimal a float; arrays, tables,
    byte arrays and nulls are left out. Raises ValueError, IndexError or struct.error for what is no table.
    """
    (size,) = _SIZE.unpack_from(data, offset)
    offset += 4
    end = offset + size
    if end > len(data):
        raise ValueError("a table is longer than what holds it")
    headers: Headers = {}
    while offset < end:
        start = offset + 1
        offset = start + data[offset]
        name = data[start:offset].decode("utf-8", "replace")
        kind = data[offset]
        offset += 1
        fixed = _FIXED.get(kind)
        if fixed is not None:
            (headers[name],) = fixed.unpack_from(data, offset)
            offset += fixed.size
        elif kind in _SIZED:
            (length,) = _SIZE.unpack_from(data, offset)
            offset += 4
            if kind == b"S"[0]:
                headers[name] = data[offset : offset + length].decode("utf-8", "replace")
            offset += length
        elif kind == b"D"[0]:
            headers[name] = struct.unpack_from(">i", data, offset + 1)[0] / 10 ** data[offset]
            offset += 5
        elif kind != b"V"[0]:
            raise ValueError(f"unknown kind {kind} in a table")
    return headers, end


def without(data: bytes, offset: int, unwanted: Callable[[str], bool]) -> tuple[bytes, int]:
    """The table that starts at ``offset`` less the entries whose names are unwanted, all others byte for byte, and
    where it ends. Raises as ``decode``."""
    (size,) = _SIZE.unpack_from(data, offset)
    offset += 4
    end = offset + size
    kept = []
    while offset < end:
        start = offset
        offset += 1 + data[offset]
        name = data[start + 1 : offset].decode("utf-8", "replace")
        kind = data[offset]
        offset += 1
        if kind in _FIXED:
            offset += _FIXED[kind].size
        elif kind in _SIZED:
            offset += 4 + _SIZE.unpack_from(data, offset)[0]
        elif kind == b"D"[0]:
            offset += 5
        elif kind != b"V"[0]:
            raise ValueError(f"unknown kind {kind} in a table")
        if not unwanted(name):
            kept.append(data[start:offset])
    table = b"".join(kept)
    return _SIZE.pack(len(table)) + table, end
