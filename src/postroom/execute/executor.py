"""The executor's life: import the application, declare, serve, stop."""

import faulthandler
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

from postroom.errors import PostroomError
from postroom.queues import registry

from .crew import Crew
from .declare import declare
from .lane import Lane
from .outcome import why_not_started
from .page import Page
from .protocol import (
    READ_AT_ONCE,
    Declared,
    Down,
    Frames,
    GaveBack,
    Ready,
    Recall,
    Serve,
    Start,
    StartFailed,
    Stop,
    Uplink,
    Work,
)
from .signals import SOFT_LIMIT, STACKS


def main(sock_fd: int, page_fd: int) -> None:
    """Runs an executor over the inherited socket and page until it is told to stop or the consumer is gone."""
    sock = socket.socket(fileno=sock_fd)
    uplink = Uplink(sock)
    inbox = _Inbox(sock)
    start = inbox.next()
    assert isinstance(start, Start)
    _prepare_process()
    sys.path[:] = start.path
    try:
        declared = declare(start)
        uplink.send(declared)
        serve = inbox.next()
        if isinstance(serve, Stop):
            return
        assert isinstance(serve, Serve)
        crew = _crew(serve, declared, page_fd, uplink)
    except PostroomError as error:
        uplink.send(StartFailed(str(error)))
        return
    except (Exception, SystemExit) as error:  # noqa: BLE001 - an import may raise anything; the consumer tells it
        uplink.send(StartFailed(why_not_started(error)))
        return
    signal.signal(SOFT_LIMIT, lambda *_: crew.enforce(time.monotonic()))
    crew.start()
    uplink.send(Ready())
    if crew.single:
        reader = threading.Thread(target=_read, args=(inbox, crew, uplink), name="postroom-reader", daemon=True)
        reader.start()
        crew.work_here()
        reader.join()
    else:
        _read(inbox, crew, uplink)
    crew.finish()


def _prepare_process() -> None:
    # Only the consumer stops an executor: it gets back what is not begun first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    faulthandler.register(STACKS, all_threads=True, chain=False)
    if sys.platform == "linux":
        # Dies with its consumer even when it is deep in C and does not see the closed socket.
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _crew(serve: Serve, declared: Declared, page_fd: int, uplink: Uplink) -> Crew:
    assignments = registry.assignments()
    lanes = [Lane(number, assignments[name]) for number, name in enumerate(serve.queues)]
    slots = sum(lane.options.concurrency for lane in lanes)
    return Crew(lanes, Page(page_fd, slots), uplink.send)


def _read(inbox: "_Inbox", crew: Crew, uplink: Uplink) -> None:
    """Hands down what comes, until told to stop."""
    while True:
        message = inbox.next()
        if isinstance(message, Work):
            crew.put(message.lane, message.items, message.batch)
        elif isinstance(message, Recall):
            uplink.send(GaveBack(crew.recall(message.lane)))
        elif isinstance(message, Stop):
            uplink.send(GaveBack(crew.clear()))
            return


class _Inbox:
    """Messages from the consumer. When the consumer is gone, so is this process, at once."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._frames = Frames(Down)
        self._ready: list[Any] = []

    def next(self) -> Any:
        while not self._ready:
            data = self._sock.recv(READ_AT_ONCE)
            if not data:
                os._exit(1)
            self._ready = self._frames.feed(data)
            self._ready.reverse()
        return self._ready.pop()
