"""The log of a long-running command, as people read it."""

import logging
import sys

from .text import json_line, safe_lines


def log_to_stderr(as_json: bool = False, verbose: bool = False) -> None:
    """Sends Postroom's log to stderr, a line a record: ``12:00:01 warning invites 01J… attempt 2 failed …``.
    Where that is no terminal, each begins with the date. ``as_json``: a JSON object a line, for machines.
    ``verbose``: a line for each processed event too."""
    handler = logging.StreamHandler()
    clock = "%H:%M:%S" if sys.stderr.isatty() else "%Y-%m-%d %H:%M:%S"
    handler.setFormatter(_Objects() if as_json else _Lines(clock))
    log = logging.getLogger("postroom")
    log.handlers[:] = [handler]
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
    log.propagate = False


FIELDS = ("queue", "event", "attempt", "next_try")
"""What a record may have beside its message: ``next_try`` in seconds from now."""


class _Objects(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told = {"time": round(record.created, 3), "level": record.levelname.lower(), "message": record.getMessage()}
        told |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json_line(told)


class _Lines(logging.Formatter):
    def __init__(self, clock: str) -> None:
        super().__init__(datefmt=clock)

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        text = f"{self.formatTime(record, self.datefmt)} {record.levelname.lower()} {record.message}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return safe_lines(text)
