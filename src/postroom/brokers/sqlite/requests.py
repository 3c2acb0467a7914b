"""A process's requests: they are published as all events are, and one thread reads the replies to all of them."""

import atexit
import logging
import os
import secrets
import select
import sqlite3
import threading
import time
import weakref
from typing import TYPE_CHECKING, Final

from postroom.brokers.pending import Pending
from postroom.errors import BrokerError, NoReply
from postroom.wire import headers as h
from postroom.wire.message import Message
from postroom.wire.reply import Reply

from . import faults, replies
from .connection import Handle
from .publish import Publisher
from .wake import ANYTHING, Bell, ring

if TYPE_CHECKING:
    from concurrent.futures import Future

POLL: Final = 0.5  # seconds between looks for replies whose ring was lost
LINGERS: Final = 5.0  # seconds that the thread waits for another request before it ends
PATIENCE: Final = 1.0  # how long one try waits for a locked file

log = logging.getLogger("postroom.sqlite")


class Requests:
    """From any thread, and after a fork. Nothing is opened before the first request, nor kept when none waits."""

    def __init__(self, path: str, publisher: Publisher) -> None:
        self._path = path
        self._publisher = publisher
        self._letterbox: Letterbox | None = None
        self._begin_anew()
        _all.add(self)

    def request(self, queue: str, message: Message, timeout: float, reply: "Future[Reply]") -> None:
        """As ``Broker.request``."""
        if self._pid != os.getpid():
            self._begin_anew()
        with self._lock:
            letterbox = self._letterbox
            if letterbox is None or letterbox.closed:
                self._letterbox = letterbox = Letterbox(self._path, self._lock)
            letterbox.pending.add(queue, message.id, reply)
        message.headers[h.REPLY_TO] = letterbox.address
        self._publisher.publish(queue, [message], 0, timeout)

    def close(self) -> None:
        """Those that wait get NoReply."""
        if self._pid == os.getpid():
            with self._lock:
                letterbox, self._letterbox = self._letterbox, None
            if letterbox is not None:
                letterbox.close()

    def _begin_anew(self) -> None:
        """Also in the child of a fork, where the parent's thread is not, and its replies are none of ours."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._letterbox = None


class Letterbox:
    """An address for replies, and the thread that fetches them. ``lock`` is held by who adds a request; under it the
    thread decides that there are none any more, and is ``closed``."""

    def __init__(self, path: str, lock: threading.Lock) -> None:
        self.pending = Pending()
        self.closed = False
        self._lock = lock
        self._handle = Handle(path)
        self._bell = Bell()
        self._said = ""
        self.address = self._bell.path or secrets.token_hex(8)
        self._thread = threading.Thread(target=self._run, name="postroom-replies", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it, within a second."""
        self.closed = True
        ring([self.address], ANYTHING, 1)
        self._thread.join(1.0)

    def _run(self) -> None:
        idle_since = time.monotonic()
        poll = select.poll()
        poll.register(self._bell.socket, select.POLLIN)
        while not self.closed:
            poll.poll(1000 * POLL)
            now = time.monotonic()
            if self.pending:
                idle_since = now
                self._attempt()
            elif now - idle_since > LINGERS:
                with self._lock:
                    self.closed = self.closed or not self.pending
        self._bell.close()
        for identity in self.pending.identities():
            self.pending.fail(
                identity, NoReply(f"the request {identity} gets no reply: this program closed the broker")
            )
        with self._handle.lock:
            self._handle.close()

    def _attempt(self) -> None:
        try:
            self._bell.rung()  # before the look: what rings from now on is looked for next time
            while self._fetch():
                pass
            self._said = ""
        except (sqlite3.Error, BrokerError, OSError) as error:
            if self.closed:
                return
            if not faults.busy(error):
                sentence = str(error) if isinstance(error, BrokerError) else faults.sentence(error, self._handle.path)
                if sentence != self._said:
                    log.warning("replies cannot be read, and are tried for again: %s", sentence)
                self._said = sentence
            with self._handle.lock:
                self._handle.mend(error)
            time.sleep(0.01)

    def _fetch(self) -> bool:
        """Whether there may be more."""
        with self._handle.lock:
            if not replies.present(self._handle.connection(time.monotonic() + PATIENCE), self.address):
                return False
        with self._handle.transaction(PATIENCE, durable=False) as connection:
            fetched = replies.collect(connection, self.address)
        for identity, reply in fetched:
            self.pending.answer(identity, reply)
        return bool(fetched)


_all: "weakref.WeakSet[Requests]" = weakref.WeakSet()


def _at_exit() -> None:
    for requests in list(_all):
        requests.close()


atexit.register(_at_exit)
