"""Every command of ``postroom`` that the documentation shows, run or not, is one that it would take."""

import argparse
import re
import shlex
from pathlib import Path

import pytest

from postroom.cli.main import VERBS, add_common_arguments, verb_module

from .pages import blocks, name, pages

_COMMAND = re.compile(r"^(?:\$ )?(?:ExecStart=\S*/|python manage\.py )?postroom (\w+)(.*)$", re.MULTILINE)
_INLINE = re.compile(r"`postroom ([a-z_]+)")


def commands(page: Path) -> list[tuple[str, str]]:
    """The verb and the rest of each, in blocks."""
    return [found for block in blocks(page) for found in _COMMAND.findall(block.text) if block.language != "text"]


@pytest.mark.parametrize("page", pages(), ids=name)
def test_commands_shown_in_blocks_parse(page: Path) -> None:
    for verb, rest in commands(page):
        assert verb in VERBS, f"there is no command {verb!r}"
        words = shlex.split(re.split(r" [<>|]|\|\|", rest)[0], comments=True)
        parser = argparse.ArgumentParser(f"postroom {verb}", allow_abbrev=False)
        add_common_arguments(parser)
        verb_module(verb).add_arguments(parser)
        try:
            parser.parse_intermixed_args(words)
        except SystemExit:
            pytest.fail(f"postroom {verb}{rest} is not how it is used")


@pytest.mark.parametrize("page", pages(), ids=name)
def test_commands_named_in_the_text_exist(page: Path) -> None:
    for verb in _INLINE.findall(page.read_text("utf-8")):
        assert verb in VERBS, f"there is no command {verb!r}"
