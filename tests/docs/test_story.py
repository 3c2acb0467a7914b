"""A page that says something wrong fails."""

from pathlib import Path

import pytest

from .pages import Block
from .story import Story, pattern


def tell(folder: Path, *blocks: tuple[str, str]) -> None:
    Story(folder).tell([Block(language, text, 1, True) for language, text in blocks])


def test_what_is_right_passes(tmp_path: Path) -> None:
    tell(tmp_path, ("python", "# hello.py\nprint('hello, world')\n"), ("console", "$ python hello.py\nhello, …\n"))
    tell(tmp_path, ("python", "# hello.py, at its end\nprint('bye')\n"), ("console", "$ python hello.py\n…\nbye\n"))
    assert "bye" in (tmp_path / "hello.py").read_text()


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("console", "$ echo one\ntwo\n"),
        ("console", "$ echo one two\none\n"),
        ("console", "$ false\n"),
        ("console", "printed by nobody\n"),
        ("python", "raise ValueError\n"),
    ],
)
def test_what_is_wrong_fails(tmp_path: Path, language: str, text: str) -> None:
    with pytest.raises(AssertionError):
        tell(tmp_path, (language, text))


def test_process_queue_that_cannot_start_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        tell(tmp_path, ("console", "$ postroom process_queue --all --app nothing_here\n^C\n"))


def test_a_dash_of_dots_stands_for_anything_but_no_more() -> None:
    assert pattern("a … c") == r"a +.*? +c"
