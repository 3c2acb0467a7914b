"""What a payload, an id or an error holds cannot command the terminal."""

import json

from postroom.cli.text import clipped, json_line, moment, payload_in_a_line, safe, safe_lines, span

from .project import Project

NASTY = "a\x1b]0;owned\x07\x9b2J\u202eb\r\nc"


def test_peek_and_dead_show_escape(local: Project) -> None:
    local.ok("publish", local.invites, json.dumps({"email": NASTY, "team": 13}), "--event-id", "mine")
    for shown in (local.on_terminal("peek", local.invites), local.on_terminal("peek", local.invites, "--json")):
        assert shown.status == 0
        _has_no_controls(shown.out)
    local.consume_until(lambda: local.figures(local.invites)["dead"] == 1)
    shown = local.on_terminal("dead", "show", local.invites, "mine")
    assert "no team \\x1b[31m13" in shown.out
    _has_no_controls(shown.out)
    _has_no_controls(local.on_terminal("dead", "list", local.invites).out)
    assert json.loads(local.ok("dead", "show", local.invites, "mine", "--json"))["payload"]["email"] == NASTY


def _has_no_controls(text: str) -> None:
    assert all(char.isprintable() or char == "\n" for char in text), repr(text)


def test_peek_fits_the_terminal_and_is_whole_in_json(local: Project) -> None:
    local.ok("publish", local.invites, json.dumps({"email": "x" * 500, "team": 1}))
    shown = local.on_terminal("peek", local.invites).out.splitlines()
    assert max(map(len, shown)) == 100
    assert shown[1].endswith("…")
    assert len(json.loads(local.ok("peek", local.invites, "--json"))["payload"]["email"]) == 500
    assert "x" * 500 in local.ok("peek", local.invites)


def test_text() -> None:
    assert safe("ä → ok") == "ä → ok"
    assert safe("a\nb\x1b\x9b\u202e") == "a\\nb\\x1b\\x9b\\u202e"
    assert safe_lines("a\n\tb\x07") == "a\n        b\\x07"
    assert json.loads(json_line({"a": NASTY})) == {"a": NASTY}
    assert "\x9b" not in json_line({"a": NASTY})
    assert "\u202e" not in json_line({"a": NASTY})
    assert payload_in_a_line(b"\xff{") == "\\xff{"
    assert payload_in_a_line(b'{\n "a": 1.50}') == '{"a":1.50}'
    assert clipped("abcdef", 4) == "abc…"
    assert [span(n) for n in (None, 0.012, 59.9, 61, 3600, 90061)] == [
        "–",  # noqa: RUF001
        "12 ms",
        "59 s",
        "1 min 1 s",
        "1 h",
        "1 d 1 h",
    ]
    assert moment(1e300) == "–"  # noqa: RUF001
