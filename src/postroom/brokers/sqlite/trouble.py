"""What is wrong with the file just now: said once, and tried again ever more seldom."""

import logging
import random
import time

QUIET = 5.0  # how long a file may be locked before a word is said
FIRST_REST = 0.05
LONGEST_REST = 2.0

log = logging.getLogger("postroom.sqlite")


class Trouble:
    """From the first failure until something succeeds again."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._said = ""
        self._rest = 0.0

    def rest(self, why: str, locked: bool) -> float:
        """How many seconds to wait before the next try. What is said, is said once."""
        now = time.monotonic()
        if self._since is None:
            self._since, self._rest = now, FIRST_REST / 2
        if why != self._said and not (locked and now - self._since < QUIET):
            self._said = why
            log.warning("%s; events in hand stay in hand, and work goes on by itself once this is mended", why)
        # A locked file was waited for already, and may be free for a moment only.
        self._rest = FIRST_REST if locked else min(LONGEST_REST, self._rest * 2)
        return self._rest * random.uniform(0.5, 1.0)

    def over(self, path: str) -> None:
        """Something succeeded."""
        if self._said:
            log.warning("work with %s goes on", path)
        self._since, self._said = None, ""
