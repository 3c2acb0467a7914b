"""A request inside an executor: an event whose publisher waits for what ``consume`` returns."""

import time

from postroom.errors import Unsupported
from postroom.wire import headers as h
from postroom.wire.message import Headers


class Expired(Exception):
    """Its deadline has passed, so nobody waits for its reply."""


def is_request(headers: Headers) -> bool:
    """Whether the event asks for a reply. Raises Expired where that would come too late."""
    if h.REPLY_TO not in headers:
        return False
    deadline = h.moment(headers, h.DEADLINE)
    now = time.time()
    if deadline is not None and now >= deadline:
        raise Expired(f"nobody has waited for its reply for {now - deadline:.1f} s")
    return True


def refuse_request(queue: str, headers: Headers) -> None:
    """Raises Unsupported for an event that asks a batch worker for a reply."""
    if is_request(headers):
        raise Unsupported(f"queue {queue!r} has a batch worker, which answers no requests; publish to it instead")
