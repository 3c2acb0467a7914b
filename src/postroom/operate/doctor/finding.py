"""What the doctor finds."""

from typing import Literal

from msgspec import Struct


class Finding(Struct, frozen=True):
    """One thing that was looked at. ``mend`` says what to do, where something is to be done."""

    level: Literal["ok", "warning", "problem"]
    about: str
    what: str
    mend: str = ""


def ok(about: str, what: str) -> Finding:
    """As it should be."""
    return Finding("ok", about, what)


def warning(about: str, what: str, mend: str) -> Finding:
    """It works, but may not be meant, or not for long."""
    return Finding("warning", about, what, mend)


def problem(about: str, what: str, mend: str = "") -> Finding:
    """It does not work."""
    return Finding("problem", about, what, mend)
