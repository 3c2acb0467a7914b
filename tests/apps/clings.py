"""A worker whose thread never ends, recycled soon."""

import threading
import time

from postroom import Queue, Worker, assign_queue

from .acts import Act, act

clings: Queue[Act] = Queue("clings", Act)


@assign_queue(clings, recycle_events=3)
class Clings(Worker[Act]):
    def start(self) -> None:
        threading.Thread(target=time.sleep, args=(60,)).start()

    def consume(self, event: Act) -> None:
        act(event)
        time.sleep(0.1)
