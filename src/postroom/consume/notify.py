"""What a process tells systemd, where systemd has started it with ``Type=notify``: see sd_notify(3)."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable


class Notify:
    """The way to systemd; without systemd, to nobody. It takes its address out of the environment, so that no child
    speaks for this process."""

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        watched = os.environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        asked = int(os.environ.pop("WATCHDOG_USEC", "0")) / 1e6
        self._every = asked / 3 if watched else 0.0

    def tell(self, state: str) -> None:
        """``READY=1``, ``STOPPING=1`` and the like. Where systemd does not hear it, it starts us anew."""
        if self._address:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
                way.setblocking(False)
                way.sendto(state.encode(), self._address)

    async def beat(self, alive: Callable[[], bool]) -> None:
        """Says ``WATCHDOG=1`` three times in each span that systemd allows, while ``alive`` holds."""
        while self._every:
            if alive():
                self.tell("WATCHDOG=1")
            await asyncio.sleep(self._every)
