"""One executor as its consumer sees it: a process, a socket, a page, and what is outstanding in it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from postroom.brokers.base import Delivery
from postroom.execute.page import FINISHED, IN_HAND, WAITING, Page, new_page_file
from postroom.execute.protocol import (
    READ_AT_ONCE,
    Down,
    Frames,
    Item,
    QueueDeclaration,
    Recall,
    Serve,
    Start,
    Stop,
    Up,
    Work,
    frame,
)


class Child:
    """``on_message(child, message)`` is called for all it says. Its death is told by ``Children``.

    ``outstanding`` maps an event's number to its lane and delivery, from ``work`` to its outcome.
    """

    def __init__(
        self, start: Start, loop: asyncio.AbstractEventLoop, on_message: Callable[["Child", Any], None]
    ) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._sock = ours
        self._sock.setblocking(False)
        self._loop = loop
        self._on_message = on_message
        self._frames = Frames(Up)
        self._unsent = bytearray()
        self._page_fd = new_page_file()
        self.page: Page | None = None
        self.lanes: list[QueueDeclaration] = []
        self.outstanding: dict[int, tuple[int, Delivery]] = {}
        self.void: set[int] = set()
        self.load: list[int] = []
        self.ready = False
        self.stopping = False
        self.overdue: set[int] = set()
        self.done = 0
        self.memory = 0
        self._next_seq = 1
        self.process = self._spawn(theirs, start)
        theirs.close()
        self.pid = self.process.pid
        loop.add_reader(self._sock, self._readable)
        self.send(start)

    def _spawn(self, theirs: socket.socket, start: Start) -> "subprocess.Popen[bytes]":
        fds = (theirs.fileno(), self._page_fd)
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        command = [sys.executable, *flags, "-m", "postroom.execute", *map(str, fds)]
        # Off a terminal each leads a process group, and is killed with all that it started. On one it stays in
        # the foreground, so that a debugger can read the keys.
        group = None if start.foreground else 0
        return subprocess.Popen(command, pass_fds=fds, process_group=group)

    def serve(self, lanes: list[QueueDeclaration]) -> None:
        """Assigns it its queues. It answers Ready."""
        self.lanes = lanes
        self.load = [0] * len(lanes)
        self.page = Page(self._page_fd, sum(lane.concurrency for lane in lanes))
        self.send(Serve([lane.name for lane in lanes]))

    def work(self, lane: int, deliveries: list[Delivery], batch: bool) -> None:
        """Hands events down."""
        assert self.page is not None
        first, items = self._next_seq, []
        for seq, delivery in enumerate(deliveries, first):
            self.outstanding[seq] = (lane, delivery)
            message = delivery.message
            items.append(Item(seq, message.id, message.body, message.headers, message.published))
        self._next_seq += len(items)
        self.page.mark_all(range(first, self._next_seq), WAITING)
        self.load[lane] += len(items)
        self.send(Work(lane, batch, items))

    def recall(self, lane: int) -> None:
        """Asks for the events of a lane that are not begun. It answers GaveBack."""
        self.send(Recall(lane))

    def settled(self, seq: int) -> tuple[int, Delivery, bool] | None:
        """Takes an event off ``outstanding``: its lane, its delivery, and whether that is void. None if it is
        off already."""
        entry = self.outstanding.pop(seq, None)
        if entry is None:
            return None
        self.load[entry[0]] -= 1
        void = seq in self.void
        if void:
            self.void.discard(seq)
        return entry[0], entry[1], void

    def settle(self, seqs: list[int]) -> tuple[list[Delivery], list[Delivery]]:
        """Takes events off ``outstanding``: the deliveries that are in hand, and those that are void."""
        held, void = [], []
        for seq in seqs:
            entry = self.outstanding.pop(seq, None)
            if entry is None:
                continue
            lane, delivery = entry
            self.load[lane] -= 1
            if seq in self.void:
                self.void.discard(seq)
                void.append(delivery)
            else:
                held.append(delivery)
        return held, void

    def send(self, message: Down) -> None:
        """Sends; what the socket does not take goes when it does. To a dead child it goes nowhere: its death
        is noticed elsewhere."""
        data = frame(message)
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return
        if sent < len(data):
            self._unsent += data[sent:]
            self._loop.add_writer(self._sock, self._writable)

    def _writable(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            sent = len(self._unsent)
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        try:
            data = self._sock.recv(READ_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._sock)
            return
        for message in self._frames.feed(data):
            self._on_message(self, message)

    def stop(self) -> None:
        """Tells it to begin nothing more, finish, and exit."""
        if not self.stopping:
            self.stopping = True
            self.send(Stop())

    def kill(self) -> None:
        """Ends it now, with all that it started where it leads a group."""
        try:
            if os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, signal.SIGKILL)
            else:
                os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return

    def busy(self) -> list[tuple[int, int, float]]:
        """The busy slots: the lane, the number of the (first) event, and for how many seconds."""
        assert self.page is not None
        now = time.monotonic()
        busy = []
        slot = 0
        for lane, declaration in enumerate(self.lanes):
            for _ in range(declaration.concurrency):
                seq, since = self.page.occupant(slot)
                if seq in self.outstanding:
                    busy.append((lane, seq, now - since))
                slot += 1
        return busy

    def finished(self) -> list[int]:
        """The outstanding events whose consume has returned, by the page."""
        assert self.page is not None
        return [seq for seq in self.outstanding if self.page.state(seq) == FINISHED]

    def in_hand(self) -> list[list[int]]:
        """What was in hand in each slot when it died: one event, or those of a batch."""
        assert self.page is not None
        held: dict[int, list[int]] = {}
        alone = []
        for seq, (lane, _) in self.outstanding.items():
            if self.page.state(seq) == IN_HAND:
                if self.lanes[lane].kind == "batch":
                    held.setdefault(lane, []).append(seq)
                else:
                    alone.append([seq])
        return alone + list(held.values())

    def bury_remains(self) -> None:
        """After its death: reads what it had still said, and closes what is open."""
        while True:
            try:
                data = self._sock.recv(READ_AT_ONCE)
            except OSError:
                break
            if not data:
                break
            for message in self._frames.feed(data):
                self._on_message(self, message)
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()

    def close(self) -> None:
        """Frees the page, when nobody asks for it any more."""
        if self.page is not None:
            self.page.close()
        else:
            os.close(self._page_fd)
