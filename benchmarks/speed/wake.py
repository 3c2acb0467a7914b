"""How long an idle worker takes to begin on an event that another process publishes, at 100 events a second.

From the moment that the publish returns, the event being on disk, to the first line of ``consume``, two processes on:
through the consumer that is woken and the executor that it hands the event to. The publish itself is told apart.
"""

import statistics
import time

from benchmarks.apps.wake import wake
from benchmarks.result import Result
from benchmarks.scene import executors_of, scene, until
from postroom import configure, queue_json_publish


def run(short: bool = False) -> Result:
    """1,000 events; 200 in the short form."""
    result = Result("wake")
    events = 200 if short else 1000
    with scene("sqlite") as here:
        configure(broker=here.url)
        consumer = here.consumer("wake")
        until(lambda: bool(executors_of(consumer.pid)), 20)
        queue_json_publish(wake, {"sent": time.monotonic()})
        until(lambda: len(here.effects("waits")) == 1, 20)
        publishing = []
        for _ in range(events):
            sent = time.monotonic()
            queue_json_publish(wake, {"sent": sent})
            publishing.append(time.monotonic() - sent)
            time.sleep(0.01)  # the rate
        until(lambda: len(here.effects("waits")) == events + 1, 20)
        consumer.terminate()
        since_sent = [float(line) for line in here.effects("waits")[1:]]
    # First in, first out: the n-th line is of the n-th event.
    waits = sorted(since - took for since, took in zip(since_sent, publishing, strict=True))
    result.note(
        publish_median_ms=round(1000 * statistics.median(publishing), 3),
        publish_to_consume_median_ms=round(1000 * statistics.median(since_sent), 3),
    )
    result.at_most("median_ms", 1000 * statistics.median(waits), 1)
    result.at_most("p99_ms", 1000 * waits[len(waits) * 99 // 100], 3)
    return result
