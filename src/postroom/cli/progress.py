"""How far a long command is, on a terminal."""

import sys


class Progress:
    """Called with a number, it shows it in place on a terminal; it is wiped away at the end."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._shown = False

    def __enter__(self) -> "Progress":
        return self

    def __call__(self, number: int) -> None:
        if sys.stderr.isatty():
            self._shown = True
            print(f"\r{number:,} {self._noun} …", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        self.wipe()

    def wipe(self) -> None:
        """Takes the number away, before something else is shown."""
        if self._shown:
            self._shown = False
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
