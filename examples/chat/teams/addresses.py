"""Addresses out of whatever people paste."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator

_NAMED = re.compile(r"<([^<>]*)>\s*\Z")
_valid = EmailValidator()


@dataclass(frozen=True)
class Addresses:
    good: list[str]  # lower case, each once, in their order
    bad: list[str]
    repeated: int


def read(text: str) -> Addresses:
    """Reads addresses separated by white space, commas, semicolons or lines; `Ada Lovelace <ada@example.com>`
    and `Ada Lovelace ada@example.com` too."""
    good: dict[str, None] = {}
    bad: dict[str, None] = {}
    repeated = 0
    for address, as_written in _words(text):
        if address in good:
            repeated += 1
        elif _is_address(address):
            good[address] = None
        else:
            bad[as_written] = None
    return Addresses(list(good), list(bad), repeated)


def _words(text: str) -> Iterator[tuple[str, str]]:
    """What may be addresses, in lower case, each with what was written."""
    for piece in re.split(r"[,;\r\n]+", text):
        named = _NAMED.search(piece)
        if named:
            yield named.group(1).strip().lower(), piece.strip()
        elif "@" in piece:
            # Beside an address, other words are the name of its owner.
            yield from ((word.lower(), word) for word in piece.split() if "@" in word)
        elif piece.strip():
            yield piece.strip().lower(), piece.strip()


def _is_address(word: str) -> bool:
    if len(word) > 254:
        return False
    try:
        _valid(word)
    except ValidationError:
        return False
    return word.isascii()  # the mail server need not know SMTPUTF8
