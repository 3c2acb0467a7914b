"""Asking all consumers how it goes, through the exchange that carries notices to them, and answering.

The answers come by RabbitMQ's direct reply-to (https://www.rabbitmq.com/docs/direct-reply-to), so that who asks needs
no queue, and may have any number of answers.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping

import msgspec
from pika import BasicProperties

from postroom.brokers.base import Listener
from postroom.errors import BrokerError, SettingsError
from postroom.policy.report import WorkerReport
from postroom.wire.reply import Reply

from . import topology
from .declaring import MAY_NOT
from .io import Channel, ChannelClosed, Link, log
from .line import DIRECT
from .replacement import Replacement

NO_EXCHANGE = 404
LOOK = 0.05
MOST = 100_000  # reports of one asking

_reports = msgspec.json.Decoder(list[WorkerReport])
_queues = msgspec.json.Decoder(list[str])


async def ask(link: Link, expected: Mapping[str, int], seconds: float) -> list[WorkerReport]:
    """As ``Broker.reports``."""
    found: list[WorkerReport] = []
    answered: Counter[str] = Counter()

    def on_answer(_channel: object, _method: object, _properties: bytes, body: bytes) -> None:
        try:
            told = _reports.decode(body)
        except msgspec.MsgspecError:  # another version's: it counts as no answer
            return
        if len(found) < MOST:
            found.extend(report for report in told if report.queue in expected)
            answered.update(report.queue for report in told)

    channel = await link.channel()
    closed: asyncio.Future[ChannelClosed] = link.loop.create_future()
    channel.on_closed = closed.set_result
    await channel.call("basic_consume", queue=DIRECT, on_message_callback=on_answer, auto_ack=True)
    _send(channel, expected)
    until = time.monotonic() + seconds
    while time.monotonic() < until and any(answered[queue] < count for queue, count in expected.items()):
        if closed.done():
            return _refused(closed.result())
        if link.blocked:
            raise BrokerError(
                "RabbitMQ is low on memory or disk and has stopped all publishers, the consumers' answers too: "
                "rabbitmq-diagnostics alarms"
            )
        await asyncio.wait([closed], timeout=LOOK)
    return found


async def answer(listener: Listener, replacement: Replacement, body: bytes, address: str) -> None:
    """What a consumer does when it is asked."""
    try:
        queues = _queues.decode(body)
    except msgspec.MsgspecError:  # another program's notice
        return
    told = [report for report in listener.reports() if report.queue in queues]
    if not told:
        return
    try:
        await replacement.tell(address, Reply({}, msgspec.json.encode(told)))
    except (BrokerError, SettingsError) as error:
        log.warning("somebody asked how it goes, and cannot be answered: %s", error)


def _send(channel: Channel, expected: Mapping[str, int]) -> None:
    properties = BasicProperties(content_type="application/json", type="report", reply_to=DIRECT)
    channel.raw.basic_publish(topology.CONTROL, "", msgspec.json.encode(list(expected)), properties)


def _refused(reason: ChannelClosed) -> list[WorkerReport]:
    if reason.code == NO_EXCHANGE:  # no consumer has ever been connected
        return []
    if reason.code == MAY_NOT:
        raise BrokerError(
            f"this account may not ask the consumers, as it may not write to {topology.CONTROL} ({reason})"
        )
    raise BrokerError(f"the consumers cannot be asked: {reason}")
