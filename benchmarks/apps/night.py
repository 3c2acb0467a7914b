"""A queue whose events may be bad, or hang until a gate is open, and whose database may be slow."""

import os
import time
from pathlib import Path

from postroom import Bury, Queue, assign_queue

night: Queue[dict[str, str]] = Queue("night", dict[str, str], max_attempts=1)

FOLDER = Path(os.environ.get("SCENE_FOLDER", "."))


@assign_queue(night, timeout=None, prefetch=1)
def work(event: dict[str, str]) -> None:
    if event["do"] == "bad":
        raise Bury("a poison event")
    while event["do"] == "hang" and not (FOLDER / "gate").exists():
        time.sleep(0.05)
    if (FOLDER / "slow").exists():
        time.sleep(0.5)
