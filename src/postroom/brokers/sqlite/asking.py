"""Asking all consumers how it goes, through the sockets by which they are woken, and answering to a socket."""

import select
import time
from collections import Counter
from collections.abc import Mapping

import msgspec

from postroom.errors import BrokerError
from postroom.policy.report import WorkerReport

from . import wake

AGAIN = 0.5  # seconds after which whoever has not answered is asked once more: a datagram may be lost
LARGEST = 1 << 16  # bytes of a datagram

_decode = msgspec.json.Decoder(WorkerReport).decode


def ask(bells: list[str], expected: Mapping[str, int], seconds: float) -> list[WorkerReport]:
    """As ``Broker.reports``, of the consumers with these sockets."""
    mine = wake.Bell()
    try:
        if mine.path is None:
            raise BrokerError(f"the consumers cannot be asked: there is no socket for their answers ({mine.trouble})")
        found: dict[tuple[str, str], WorkerReport] = {}
        until = time.monotonic() + seconds
        ask_at = 0.0
        while time.monotonic() < until and _missing(found, expected):
            if time.monotonic() >= ask_at:
                ask_at = time.monotonic() + AGAIN
                for bell in bells:
                    wake.send(wake.ASKING + mine.path.encode(), bell)
            for report in _heard(mine, min(ask_at, until) - time.monotonic()):
                found[report.consumer, report.queue] = report
        return [report for report in found.values() if report.queue in expected]
    finally:
        mine.close()


def answer(reports: list[WorkerReport], askers: list[str]) -> None:
    """Sends a datagram for each report. One that is not taken is asked for again."""
    for asker in askers:
        for report in reports:
            wake.send(msgspec.json.encode(report), asker)


def _missing(found: dict[tuple[str, str], WorkerReport], expected: Mapping[str, int]) -> bool:
    answered = Counter(queue for _, queue in found)
    return any(answered[queue] < count for queue, count in expected.items())


def _heard(mine: wake.Bell, seconds: float) -> list[WorkerReport]:
    ready, _, _ = select.select([mine.socket], [], [], max(0.0, seconds))
    found: list[WorkerReport] = []
    while ready:
        try:
            found.append(_decode(mine.socket.recv(LARGEST)))
        except BlockingIOError:
            break
        except msgspec.MsgspecError:  # another version's: it counts as no answer
            continue
    return found
