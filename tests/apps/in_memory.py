"""An application whose broker is in memory."""

from postroom import Queue, assign_queue, configure

from .acts import Act, act

configure(broker="memory://")

queue: Queue[Act] = Queue("plain", Act)
assign_queue(queue)(act)
