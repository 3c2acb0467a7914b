"""``--health``: a way for others to ask, by HTTP, whether this process consumes."""

import asyncio
from collections.abc import Callable
from typing import Final

from postroom.errors import SettingsError

TIMEOUT: Final = 5.0  # seconds for a request and its answer
LONGEST: Final = 4096  # bytes of a request
MOST: Final = 32  # connections at once


async def serve(address: tuple[str, int], well: Callable[[], bool]) -> asyncio.Server:
    """Answers GET /healthz with 200, or 503 unless ``well``, and one line. Raises SettingsError where it cannot
    listen there."""
    open_now = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        open_now += 1
        try:
            if open_now <= MOST:
                async with asyncio.timeout(TIMEOUT):
                    writer.write(_answer(await reader.readuntil(b"\r\n\r\n"), well))
                    await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # whoever asked is gone, too slow, or speaks something else
        finally:
            open_now -= 1
            writer.close()

    try:
        return await asyncio.start_server(answer, *address, limit=LONGEST)
    except OSError as error:
        raise SettingsError(f"--health cannot listen at {address[0]}:{address[1]}: {error.strerror}") from error


def _answer(request: bytes, well: Callable[[], bool]) -> bytes:
    if not request.startswith((b"GET /healthz ", b"HEAD /healthz ")):
        status, text = "404 Not Found", "ask for /healthz"
    elif well():
        status, text = "200 OK", "ok"
    else:
        status, text = "503 Service Unavailable", "events wait for this consumer, and none has come for a minute"
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(text) + 1}\r\nConnection: close\r\n"
    )
    return f"{head}\r\n{'' if request.startswith(b'HEAD') else text + chr(10)}".encode()
