"""What several programs print, on one screen or in one log: each line with its program's name."""

import json
import sys
import time
from typing import Final

LONGEST_LINE: Final = 65_536  # bytes; a longer one is told in pieces
_COLOURS: Final = (36, 33, 32, 35, 34, 31)  # of a terminal: cyan, yellow, green, magenta, blue, red


class Output:
    """``names``: of all programs. ``as_json``: a JSON object a line, for machines."""

    def __init__(self, names: list[str], as_json: bool) -> None:
        self._as_json = as_json
        self._prefixes = {}
        width = max(len(name) for name in names)
        for number, name in enumerate(names):
            prefix = f"{name:{width}} | "
            if sys.stdout.isatty():
                prefix = f"\x1b[{_COLOURS[number % len(_COLOURS)]}m{prefix}\x1b[0m"
            self._prefixes[name] = prefix

    def line(self, program: str, line: bytes) -> None:
        """One line that a program has printed, its end left out."""
        text = line.decode("utf-8", "backslashreplace")
        self._write(self._object(program, text) if self._as_json else self._prefixes[program] + text)

    def tell(self, program: str, text: str) -> None:
        """What the supervisor has to say of a program."""
        for line in text.splitlines():
            self.line(program, line.encode())

    def _object(self, program: str, text: str) -> str:
        told: object = None
        if text.startswith("{"):
            try:
                told = json.loads(text)
            except ValueError:
                told = None
        if not isinstance(told, dict):
            told = {"time": round(time.time(), 3), "message": text}
        return json.dumps({"program": program, **told})

    def _write(self, line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
