"""A network that can be spoilt: a way to a TCP port that is cut, held, delayed or sliced."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any

SLICE = 1  # bytes in a write of a sliced way


class Way:
    """One direction of all connections. ``latency``: seconds that each piece takes. ``held``: nothing passes, and
    nobody is told. ``sliced``: one byte a write. ``cut_after``: after so many more bytes, which may end within a
    frame, the connection is reset."""

    def __init__(self) -> None:
        self.latency = 0.0
        self.held = False
        self.sliced = False
        self.cut_after: int | None = None


class Proxy:
    """Forwards connections from a free port of 127.0.0.1 to ``target`` there; ``up`` is the way to the target and
    ``down`` the way back, both of which may be spoilt at any time, from any thread."""

    def __init__(self, target: int) -> None:
        self.up, self.down = Way(), Way()
        self._target = target
        self._pairs: set[_Pair] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server: asyncio.Server = self._wait(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Resets all connections. New ones are accepted at once."""
        self._wait(self._reset(list(self._pairs)))

    def hold(self) -> None:
        """From now on nothing passes, in either direction, though connections stay and new ones are accepted."""
        self.up.held = self.down.held = True

    def heal(self) -> None:
        """All is as it should be, for new connections: those there were are reset, as their ends may be gone."""
        self.up, self.down = Way(), Way()
        self.cut()

    @property
    def connections(self) -> int:
        """How many there are at this moment."""
        return len(self._pairs)

    def close(self) -> None:
        """Resets all connections and takes no more."""
        self._loop.call_soon_threadsafe(self._server.close)
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _reset(self, pairs: "list[_Pair]") -> None:
        for pair in pairs:
            pair.reset()
        await asyncio.gather(*(pair.ended for pair in pairs), return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _reset(writer)
            return
        pair = _Pair((reader, writer), far)
        self._pairs.add(pair)
        pair.start(self.up, self.down)
        pair.ended.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        pair.ended.add_done_callback(lambda _: self._pairs.discard(pair))


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Pair:
    """One connection: both its sockets, and the tasks that forward."""

    def __init__(self, near: Ends, far: Ends) -> None:
        self._near, self._far = near, far

    def start(self, up: Way, down: Way) -> None:
        self.ended = asyncio.gather(
            _forward(self._near[0], self._far[1], up, self.reset),
            _forward(self._far[0], self._near[1], down, self.reset),
            return_exceptions=True,
        )

    def reset(self) -> None:
        for _, writer in (self._near, self._far):
            _reset(writer)
        self.ended.cancel()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST instead of FIN."""
    with contextlib.suppress(OSError):  # closed by its own end before
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _forward(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way, reset: Callable[[], None]
) -> None:
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)

    async def read() -> None:
        try:
            while data := await reader.read(65536):
                await pieces.put((loop.time() + way.latency, data))
        except OSError:  # reset by its end: the other one is to know
            reset()
        await pieces.put((loop.time() + way.latency, b""))

    reading = asyncio.ensure_future(read())
    try:
        while True:
            due, data = await pieces.get()
            await asyncio.sleep(due - loop.time())
            while way.held:
                await asyncio.sleep(0.01)
            if not data:
                break
            if way.cut_after is not None:
                data = data[: way.cut_after]
                way.cut_after -= len(data)
            for start in range(0, len(data), SLICE if way.sliced else len(data) or 1):
                writer.write(data[start : start + SLICE] if way.sliced else data)
                await writer.drain()
            if way.cut_after == 0:
                way.cut_after = None
                reset()
                return
        writer.write_eof()
    except OSError:  # reset by one of its ends: the other one is to know
        reset()
    finally:
        reading.cancel()
