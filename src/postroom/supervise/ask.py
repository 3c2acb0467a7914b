"""Asking the application, in a process of its own, what is to be run."""

import asyncio
import os

import msgspec

from postroom.errors import DeclarationError

from .supervisor import python
from .tell import Told

TIMEOUT = 60.0


async def ask(app: str) -> Told:
    """What the application tells of itself. Raises DeclarationError where it tells nothing in a minute."""
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *python("-m", "postroom.supervise.tell", str(writing), app), pass_fds=[writing]
    )
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        try:
            async with asyncio.timeout(TIMEOUT):
                status = await process.wait()
        except TimeoutError:
            process.kill()
            raise DeclarationError(f"the import of {app} has not ended in {TIMEOUT:.0f} s") from None
        answer = pipe.read() if status == 0 else b""
    if not answer:
        raise DeclarationError(f"{app} cannot be imported: the process that tried ended with status {status}")
    return msgspec.json.decode(answer, type=Told)
