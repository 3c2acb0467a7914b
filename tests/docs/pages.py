"""The pages of the documentation, taken apart: their headings, links and fenced blocks."""

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^(<!-- not run[^\n]*-->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)|<img[^>]* src=\"([^\"]+)\"")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


class Block(Struct, frozen=True):
    """A fenced block, the line of its page that it begins on, and whether the tests run it."""

    language: str
    text: str
    line: int
    run: bool


def pages() -> list[Path]:
    """All pages: README, what contributors read, and ``docs``."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name(page: Path) -> str:
    """The page as people call it."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks, in order. ``<!-- not run: why -->`` on the line before one keeps the tests from it."""
    text = page.read_text("utf-8")
    for found in _FENCE.finditer(text):
        yield Block(found[2], found[3], text.count("\n", 0, found.start(2)) + 1, found[1] is None)


def prose(page: Path) -> str:
    """The page without its blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    """Where its links and images lead."""
    return [link or image for link, image in _LINK.findall(prose(page))]


def anchors(page: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    return {_anchor(heading) for heading in _HEADING.findall(prose(page))}


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
