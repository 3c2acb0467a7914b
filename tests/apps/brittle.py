"""A worker that starts something which kills its executor, until it is mended."""

import os
import threading

from postroom import Queue, Worker, assign_queue

from .acts import Act, act, folder, note

brittle: Queue[Act] = Queue("brittle", Act, backoff=0.02)


@assign_queue(brittle)
class Brittle(Worker[Act]):
    def start(self) -> None:
        note("start")
        if not (folder() / "mended").exists():
            threading.Timer(0.05, os._exit, [7]).start()

    def consume(self, event: Act) -> None:
        act(event)
