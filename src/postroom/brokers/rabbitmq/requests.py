"""Requests from any thread, and after a fork: one connection a process, on an I/O thread of its own."""

import time
from typing import TYPE_CHECKING

from postroom.errors import NotPublished
from postroom.settings import rabbitmq_password
from postroom.wire import headers as h
from postroom.wire.message import Message
from postroom.wire.reply import Reply

from . import messages, topology
from .address import Address
from .caller import Caller
from .connecting import connect
from .io import Link
from .line import DIRECT, Request
from .resident import Resident

if TYPE_CHECKING:
    from concurrent.futures import Future


class Requests:
    """Nothing is opened before the first request."""

    def __init__(self, address: Address, url: str, secrets: str | None) -> None:
        self._address = address
        self._url = url
        self._secrets = secrets
        self._caller = Resident("postroom-requests", lambda loop: Caller(loop, self._connect))

    def request(self, queue: str, message: Message, timeout: float, reply: "Future[Reply]") -> None:
        """As ``Broker.request``: returns at once."""
        message.headers[h.REPLY_TO] = DIRECT
        try:
            properties = messages.encode(message)
        except ValueError as error:
            raise NotPublished(f"not published to the queue {queue!r}: {error}", [message.id]) from error
        caller = self._caller.get()
        caller.submit(
            Request(
                id=message.id,
                exchange=topology.EXCHANGE,
                key=queue,
                properties=properties,
                body=message.body,
                settled=caller.settled,
                queue=queue,
                reply=reply,
                by=time.monotonic() + timeout,
                timeout=timeout,
            )
        )

    def close(self) -> None:
        """Disconnects within a second: what waits gets NoReply. The next request connects again."""
        self._caller.close()

    async def _connect(self) -> Link:
        return await connect(self._address, rabbitmq_password(self._url, self._secrets), "requests")
