"""A mail server that delivers nothing: it keeps what it is sent, to be read at /mailbox/.

`python -m mail.catcher STORE [--port PORT] [--delay SECONDS]` listens on loopback, on a free port where none is
named, and prints the port. An address that begins with "bounce" is refused for good (550); one that begins with
"busy" is told to come back later (451) the first time.
"""

import argparse
import asyncio
import signal
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from mail.store import Store

LARGEST = 1 << 20
BUSY_REMEMBERED = 1000


class Catcher:
    """Handles what aiosmtpd receives; the names of the methods are its."""

    def __init__(self, store: Store, delay: float) -> None:
        self._store = store
        self._delay = delay
        self._sent_away: set[str] = set()

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.lower().startswith("bounce"):
            return "550 5.1.1 no such mailbox here"
        if address.lower().startswith("busy") and address not in self._sent_away:
            if len(self._sent_away) < BUSY_REMEMBERED:
                self._sent_away.add(address)
            return "451 4.3.2 busy, come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self._delay:
            await asyncio.sleep(self._delay)
        content = envelope.original_content or b""
        for address in envelope.rcpt_tos:
            self._store.add(address.lower(), content)
        return "250 caught"


async def serve(catcher: Catcher, port: int = 0) -> None:
    """Listens until cancelled or told to stop; prints the port."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(
        lambda: SMTP(catcher, data_size_limit=LARGEST, hostname="localhost", ident="catcher", loop=loop),
        "127.0.0.1",
        port,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="a mail server that keeps what it is sent")
    parser.add_argument("store", type=Path, help="the file for the mails; made anew")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="how long a mail takes it")
    options = parser.parse_args()
    store = Store(options.store)
    if not options.store.exists():
        store.create()
    asyncio.run(serve(Catcher(store, options.delay), options.port))


if __name__ == "__main__":
    main()
