"""Pausing a queue: an exchange that exists while the pause lasts, and a notice to who is connected.

Where consumers listen for notices they are also asked how it goes: see ``asking``.
"""

from collections.abc import Callable
from typing import Final

import pika

from postroom.wire import headers as h

from . import messages, topology
from .declaring import exchange
from .io import Channel, Link

POLL: Final = 60.0  # seconds; a notice can be lost


async def is_paused(link: Link, queue: str) -> bool:
    """Whether the marker exists. On a channel of its own, which the broker closes when it does not."""
    return await exchange(topology.marker(queue), "fanout").exists(link)


async def pause(link: Link, queue: str) -> None:
    """Makes the marker and tells the consumers."""
    await topology.declare_control(link)
    channel = await link.channel()
    await exchange(topology.marker(queue), "fanout").declare(channel)
    _announce(channel, queue)
    await channel.close()


async def resume(link: Link, queue: str) -> None:
    """Removes the marker, where there is one, and tells the consumers."""
    await topology.declare_control(link)
    channel = await link.channel()
    await channel.call("exchange_delete", exchange=topology.marker(queue))
    _announce(channel, queue)
    await channel.close()


def _announce(channel: Channel, queue: str) -> None:
    properties = pika.BasicProperties(content_type="text/plain", type="pause")
    channel.raw.basic_publish(topology.CONTROL, "", queue.encode(), properties)


async def listen(link: Link, noticed: Callable[[str], None], asked: Callable[[bytes, str], None]) -> None:
    """Calls ``noticed`` with a queue's name whenever it may have been paused or resumed, and ``asked`` with the body
    and the address for the answer when somebody asks how it goes."""
    await topology.declare_control(link)
    channel = await link.channel()
    mine = await channel.call("queue_declare", queue="", exclusive=True, auto_delete=True)
    await channel.call("queue_bind", queue=mine.queue, exchange=topology.CONTROL)

    def on_message(_channel: object, _method: object, properties: bytes, body: bytes) -> None:
        address = h.text(messages.decode(properties, body)[0].headers, h.REPLY_TO)
        if address:
            asked(body, address)
        else:
            noticed(body.decode("utf-8", "replace"))

    channel.on_closed = lambda reason: link.abort(str(reason))
    await channel.call(
        "basic_consume", queue=mine.queue, on_message_callback=on_message, auto_ack=True, exclusive=True
    )
