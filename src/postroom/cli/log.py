"""The log of a long-running command, as people read it."""

import logging
import sys

from .text import safe_lines


def log_to_stderr() -> None:
    """Sends Postroom's log to stderr, a line a record: ``12:00:01 warning invites 01J… attempt 2 failed …``.
    Where that is no terminal, each begins with the date."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines("%H:%M:%S" if sys.stderr.isatty() else "%Y-%m-%d %H:%M:%S"))
    log = logging.getLogger("postroom")
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False


class _Lines(logging.Formatter):
    def __init__(self, clock: str) -> None:
        super().__init__(datefmt=clock)

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        text = f"{self.formatTime(record, self.datefmt)} {record.levelname.lower()} {record.message}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return safe_lines(text)
