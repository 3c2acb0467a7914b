"""A connection that any thread may write to.

pika's connection belongs to its loop's thread. Here one lock lies over its socket's sending side, so that the
thread that publishes can send by itself, without a way through the loop.
"""

import ssl
import threading
from collections.abc import Callable
from typing import Any

from .frames import Connection

_READ_AT_ONCE = 1 << 15
_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class NotSent(Exception):
    """The connection is dead. Not one byte was sent."""


class DirectConnection(Connection):
    """``write`` may be called by any thread; all else is for the loop's own."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        # Over the sending side of pika's transport. Whoever has it takes no other lock.
        self._sending = threading.Lock()
        super().__init__(*arguments, **named)

    def write(self, data: bytes) -> None:
        """Sends frames, as far as the socket takes them now; the loop sends the rest. Never blocks.

        Raises NotSent.
        """
        with self._sending:
            transport: Any = self._transport  # type: ignore[attr-defined]
            if transport is None or transport._state != transport._STATE_ACTIVE:
                raise NotSent
            if transport.get_write_buffer_size() == 0 and getattr(transport, "_ssl_writable_action", None) is None:
                sent = _send(transport._sock, data)
                self.bytes_sent += sent
                if sent == len(data):
                    return
                data = data[sent:]
            # In the buffer at once, so that nothing comes between; only the loop may ask to be told when it can go.
            transport._buffer_tx_data(data)
            self._adapter_add_callback_threadsafe(self._watch)  # type: ignore[attr-defined]

    def _watch(self) -> None:
        with self._sending:
            transport: Any = self._transport  # type: ignore[attr-defined]
            if transport is None or not transport._tx_buffers:
                return
            waiting = b"".join(transport._tx_buffers)
            transport._tx_buffers.clear()
            transport._tx_buffered_byte_count = 0
            transport.write(waiting)

    def _adapter_emit_data(self, data: bytes) -> None:
        with self._sending:
            super()._adapter_emit_data(data)  # type: ignore[misc]

    def _proto_connection_made(self, transport: Any) -> None:
        self._guard(transport)
        super()._proto_connection_made(transport)
        # Much smaller than what a consumer reads at once: only confirms come, and a buffer for each read costs less.
        transport._MAX_RECV_BYTES = _READ_AT_ONCE

    def _guard(self, transport: Any) -> None:
        # Not even closed while another thread sends: the descriptor may be another file's a moment later.
        guarded = ["_produce", "_close_and_finalize"]
        if hasattr(transport, "_ssl_writable_action"):
            guarded.append("_sigint_safe_recv")  # OpenSSL cannot read and write at the same time
        for name in guarded:
            setattr(transport, name, self._guarded(getattr(transport, name)))

    def _guarded(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any) -> Any:
            with self._sending:
                return work(*arguments)

        return guarded


def _send(sock: Any, data: bytes) -> int:
    """How much was sent. Raises NotSent."""
    sent = 0
    view = memoryview(data)
    while sent < len(data):
        try:
            sent += sock.send(view[sent:])
        except _LATER:
            break
        except OSError as error:
            if sent == 0:
                raise NotSent from error
            break  # the loop meets it again, and ends the connection
    return sent
