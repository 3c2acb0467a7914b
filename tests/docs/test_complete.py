"""The reference names everything that there is."""

import argparse
import inspect
import re

import pytest

import postroom
from postroom import errors
from postroom.cli.main import VERBS, add_common_arguments, verb_module
from postroom.queues.assign import assign_queue
from postroom.settings import SETTINGS
from postroom.wire import headers

from .pages import ROOT

REFERENCE = ROOT / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text("utf-8")


def section(text: str, heading: str) -> str:
    """What is beneath a heading, up to the next one of its rank or above."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found is not None, f"there is no heading {heading!r}"
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def test_every_public_name_has_its_place() -> None:
    for public in postroom.__all__:
        assert re.search(rf"^#+ .*`{public}\b", page("api"), re.MULTILINE), f"api.md has no heading for {public}"


OPTIONS = [postroom.Queue.__init__, assign_queue, postroom.configure]


@pytest.mark.parametrize("function", OPTIONS, ids=["Queue", "assign_queue", "configure"])
def test_every_option_is_named(function: object) -> None:
    text = page("api")
    assert callable(function)
    for option, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert f"`{option}`" in text, f"api.md does not name {option}"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_flag_is_named(verb: str) -> None:
    text = section(page("commands"), verb)
    parser = argparse.ArgumentParser()
    verb_module(verb).add_arguments(parser)
    for action in parser._actions:
        for flag in action.option_strings:
            if flag not in ("-h", "--help"):
                assert f"`{flag}" in text, f"commands.md, {verb}: {flag} is not named"
        for choice in action.choices or ():
            assert f"`{choice}" in text, f"commands.md, {verb}: {choice} is not named"


def test_the_flags_of_all_verbs_are_named() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    add_common_arguments(parser)
    for action in parser._actions:
        for flag in action.option_strings:
            assert f"`{flag}" in page("commands")


def test_every_header_is_named() -> None:
    for constant, header in vars(headers).items():
        if constant.isupper() and isinstance(header, str) and constant != "PREFIX" and not constant.startswith("_"):
            assert f"`{header}`" in page("wire"), f"wire.md does not name {header}"


def test_every_setting_and_its_variable_is_named() -> None:
    for setting in SETTINGS:
        assert f"`{setting}`" in page("settings")
        if setting != "programs":  # a dict: no variable can hold it
            assert f"`POSTROOM_{setting.upper()}`" in page("settings")


def test_every_error_is_named() -> None:
    for public, value in vars(errors).items():
        if inspect.isclass(value) and issubclass(value, Exception):
            assert f"`{public}`" in page("errors"), f"errors.md does not name {public}"
