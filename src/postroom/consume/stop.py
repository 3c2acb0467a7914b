"""When a consumer is to end, and how soon."""

import asyncio
import signal
from typing import Any


class Stop:
    """``asked``: no new events, those in hand get their grace. ``at_once``: not even that. ``failed``: it ends by
    itself, because it cannot do its work."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()
        self.failed = False

    def listen(self) -> None:
        """Takes the signals that mean it, and mistakes of our own in callbacks."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.ask)
        self._loop.add_signal_handler(signal.SIGQUIT, self.ask_at_once)
        self._loop.set_exception_handler(self._stumble)

    def ask(self) -> None:
        """Asks for the end; asked again, for it at once."""
        if self.asked.is_set():
            self.at_once.set()
        self.asked.set()

    def ask_at_once(self) -> None:
        """Asks for the end without any grace."""
        self.at_once.set()
        self.asked.set()

    def fail(self) -> None:
        """It cannot do its work, and another one may."""
        self.failed = True
        self.ask()

    async def unless_before(self, wanted: "asyncio.Future[Any]") -> bool:
        """Waits for ``wanted``. False if a stop is asked for first."""
        asked = self._loop.create_task(self.asked.wait())
        both: set[asyncio.Future[Any]] = {wanted, asked}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        return wanted.done()

    def _stumble(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # What a mistake left undone would leave events in hand for ever: a supervisor starts another process.
        loop.default_exception_handler(context)
        if "handle" in context:
            self.failed = True
            self.ask_at_once()
