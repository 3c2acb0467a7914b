"""The C client of ``benchmarks/c`` on a scene's RabbitMQ node, with a message as Postroom makes it."""

import shutil
import subprocess
from pathlib import Path

import msgspec

from benchmarks.scene import ROOT, Scene
from postroom.brokers.rabbitmq import messages

SOURCE = ROOT / "benchmarks" / "c" / "amqp_speed.c"


class CClient:
    """Compiles it into the scene's folder. Raises RuntimeError, naming the packages, where that is not possible."""

    def __init__(self, here: Scene) -> None:
        self._here = here
        self._program = here.folder / "amqp_speed"
        compiler = shutil.which("cc")
        if compiler is None or not Path("/usr/include/amqp_framing.h").exists():
            raise RuntimeError(
                "the yardstick is a C program, and a compiler or the library is missing:"
                " apt-get install gcc libc6-dev librabbitmq-dev (Debian's names)"
            )
        command = [compiler, "-O2", "-o", str(self._program), str(SOURCE), "-lrabbitmq", "-lpthread"]
        compiled = subprocess.run(command, capture_output=True, text=True)
        if compiled.returncode != 0:
            raise RuntimeError(f"{SOURCE} does not compile:\n{compiled.stderr}")

    def take_message(self, queue: str) -> None:
        """Publishes from now on what is the first event of this queue, byte for byte."""
        (message,) = self._here.broker().peek(queue, 1)
        (self._here.folder / "properties").write_bytes(messages.encode(message))
        (self._here.folder / "body").write_bytes(message.body)

    def run(self, queue: str, mode: str, events: int, option: int) -> dict[str, float]:
        """``consume``, ``publish`` or ``latency``: see the source. Returns what it measured."""
        assert self._here.node is not None
        command = [
            *(str(self._program), str(self._here.node.port), queue, str(self._here.folder)),
            *(mode, str(events), str(option)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(f"the C client failed: {done.stderr}")
        return msgspec.json.decode(done.stdout, type=dict[str, float])
