"""Values as people read them. Whatever came from a payload or a header passes through here before a terminal."""

import time
from typing import Any

import msgspec

from postroom.wire.codec import BadBody, parse
from postroom.wire.message import Message

UNKNOWN = "–"  # noqa: RUF001 - a dash, not a minus


def safe(text: str) -> str:
    """The text in one line, with what is not printable (control characters, line ends, marks that turn the
    direction of writing) escaped: it cannot move a terminal's cursor or hide anything."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def safe_lines(text: str) -> str:
    """``safe``, but for the line ends."""
    return "\n".join(safe(line.expandtabs()) for line in text.split("\n"))


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def first_line(text: str) -> str:
    """The first line that is not empty, made safe."""
    return safe(next((line for line in text.splitlines() if line.strip()), "").strip())


def clipped(text: str, width: int | None) -> str:
    """The text, at most ``width`` characters of it; None: all."""
    if width is None or len(text) <= width:
        return text
    return text[: max(width - 1, 0)] + "…"


def count(number: int | None) -> str:
    """A number with its thousands apart."""
    return UNKNOWN if number is None else f"{number:,}"


def events(number: int, noun: str = "event") -> str:
    """``1 event``, ``1,204 events``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def per_second(rate: float | None) -> str:
    """How many a second: ``0.4/s``, ``1,204/s``."""
    if rate is None:
        return UNKNOWN
    return f"{rate:.1f}/s" if 0 < rate < 10 else f"{rate:,.0f}/s"


def span(seconds: float | None) -> str:
    """A length of time by its two largest units: ``12 s``, ``3 min 5 s``, ``2 d 4 h``."""
    if seconds is None:
        return UNKNOWN
    if seconds < 1:
        return f"{1000 * max(seconds, 0):.0f} ms"
    left = int(seconds)
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if left >= size:
            parts.append(f"{left // size} {unit}")
            left %= size
        elif parts:
            break
    return " ".join(parts[:2])


def moment(seconds: float | None) -> str:
    """Seconds since the epoch as local time."""
    if seconds is None:
        return UNKNOWN
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):  # a foreign program may have written any number
        return UNKNOWN


def payload_in_a_line(body: bytes) -> str:
    """The body as compact JSON, or as it is where it is none."""
    try:
        parse(body)
    except BadBody:
        return safe(body.decode("utf-8", "backslashreplace"))
    return safe(msgspec.json.format(body, indent=-1).decode())


def payload_in_lines(body: bytes) -> str:
    """The body as indented JSON, or as it is where it is none."""
    try:
        parse(body)
    except BadBody:
        return safe(body.decode("utf-8", "backslashreplace"))
    return safe_lines(msgspec.json.format(body, indent=2).decode())


def payload_fields(message: Message) -> dict[str, Any]:
    """The body for a program: ``payload`` as JSON, or, where it is none, ``body`` in base64."""
    try:
        parse(message.body)
    except BadBody:
        return {"payload": None, "body": message.body}
    return {"payload": msgspec.Raw(msgspec.json.format(message.body, indent=-1))}


def json_line(value: Any) -> str:
    """A value as JSON in one line, safe to show on a terminal too."""
    line = msgspec.json.encode(value).decode()
    if line.isprintable():
        return line
    # What is left of it can stand in strings alone, where an escape means the same.
    return "".join(char if char.isprintable() else _json_escaped(char) for char in line)


def _json_escaped(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))
