"""Says what is wrong with this set-up, where each setting came from, and how to mend it."""

import sys
from typing import Any

from postroom.operate.doctor.diagnose import diagnose
from postroom.operate.doctor.finding import Finding

from .application import settings_for
from .text import json_line, safe_lines

COLOURS = {"ok": "32", "warning": "33", "problem": "31"}


def add_arguments(parser: Any) -> None:
    """The arguments of ``doctor``."""
    parser.add_argument("--json", action="store_true", help="a line of JSON for each finding")


def run(args: Any) -> int:
    """Prints the findings as they come. Exit status 1 if one is a problem."""
    settings_for(args)
    problems = 0
    for finding in diagnose():
        problems += finding.level == "problem"
        print(json_line(finding) if args.json else _line(finding), flush=True)
    return int(problems > 0)


def _line(finding: Finding) -> str:
    level = f"{finding.level:8}"
    if sys.stdout.isatty():
        level = f"\x1b[{COLOURS[finding.level]}m{level}\x1b[0m"
    line = f"{level} {finding.about}: {safe_lines(finding.what)}"
    return f"{line}\n         to mend it: {finding.mend}" if finding.mend else line
