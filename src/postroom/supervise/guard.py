"""No orphans: a small shell that ends all programs when the supervisor is gone, however it went."""

import os
import subprocess
from typing import Final

# Reads which process groups there are until its standard input closes, which it does when we are gone. Then SIGTERM
# to each, and SIGKILL to what is left after the grace.
_SCRIPT: Final = """
trap '' INT TERM HUP QUIT
groups=
while read -r line; do
    case $line in
        +*) groups="$groups ${line#+}" ;;
        -*) kept=
            for group in $groups; do [ "$group" = "${line#-}" ] || kept="$kept $group"; done
            groups=$kept ;;
    esac
done
for group in $groups; do kill -TERM "-$group" 2>/dev/null; done
tenths=$(($1 * 10))
while [ -n "$groups" ] && [ $tenths -gt 0 ]; do
    left=
    for group in $groups; do kill -0 "-$group" 2>/dev/null && left="$left $group"; done
    groups=$left
    tenths=$((tenths - 1))
    sleep 0.1
done
for group in $groups; do kill -KILL "-$group" 2>/dev/null; done
exit 0
"""


class Guard:
    """``grace``: seconds from the SIGTERM to the SIGKILL."""

    def __init__(self, grace: float) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "postroom-guard", str(max(1, round(grace)))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def watch(self, group: int) -> None:
        """Ends this process group too."""
        self._say(f"+{group}\n")

    def forget(self, group: int) -> None:
        """It has ended; its number may be another's soon."""
        self._say(f"-{group}\n")

    def close(self) -> None:
        """Lets the shell end, when all groups are forgotten."""
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.wait()

    def _say(self, line: str) -> None:
        assert self._shell.stdin is not None
        os.write(self._shell.stdin.fileno(), line.encode())
