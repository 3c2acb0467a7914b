"""RabbitMQ's memory alarm under load: it stops whoever publishes, for as long as it lasts.

Held if publishers get their error in time, the consumer empties what is there but for the failing events, which wait
and are not lost, and all goes on by itself afterwards.
"""

import signal
import time
from collections import Counter

from benchmarks.apps.alarmed import FAILS
from benchmarks.result import Result, progress
from benchmarks.scene import Scene, kill, scene, until
from postroom.wire.message import Message, new_id

WAITING = 500  # events that are there when the alarm begins
TIMEOUT = 5.0  # the publish_timeout that nobody has changed


def run(short: bool = False) -> Result:
    """An alarm of 60 s; of 7 s in the short form."""
    result = Result("alarm")
    with scene("rabbitmq") as here:
        _soak(here, 7.0 if short else 60.0, result)
    return result


def _soak(here: Scene, seconds: float, result: Result) -> None:
    assert here.node is not None
    broker = here.broker()
    publishers = [here.start("-m", "benchmarks.apps.alarmed", "25") for _ in range(2)]
    consumer = here.consumer("alarmed")
    until(lambda: len(here.effects()) > 20, 40)
    ready = [Message(new_id(), b'{"n": %d}' % number, {}, time.time()) for number in range(WAITING)]
    good = {message.id for number, message in enumerate(ready) if number % FAILS}
    consumer.send_signal(signal.SIGSTOP)  # so that all of it is still there when the alarm begins
    broker.publish("alarmed", ready, 0, 10)
    here.node.control("set_vm_memory_high_watermark", "absolute", "1MB")
    consumer.send_signal(signal.SIGCONT)
    began = time.monotonic()
    drained = until(lambda: good <= set(here.effects()), seconds)
    took = time.monotonic() - began
    progress(f"alarm: {len(good)} events were done {took:.1f} s after its beginning")
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    waiting = set(here.effects("failed")) - set(here.effects())
    published = len(here.effects("published"))
    over = time.monotonic()
    here.node.control("set_vm_memory_high_watermark", "0.6")
    until(lambda: len(here.effects("published")) > published + 5, 60)
    back = time.monotonic() - over
    alive = sum(process.poll() is None for process in [*publishers, consumer])
    for process in publishers:
        kill(process.pid)
    ids = set(here.effects("published")) | {message.id for message in ready}
    emptied = until(lambda: ids <= set(here.effects()), 60)
    statuses = here.stop([consumer], 30)
    if not (drained and emptied):
        progress(here.log()[-4000:])
    refused = [float(line.split()[0]) for line in here.effects("refused")]
    result.note(
        published=len(ids),
        refused=dict(Counter(line.split()[1] for line in here.effects("refused"))),
        twice=len(here.effects()) - len(set(here.effects())),
        drained_after=round(took, 1),
    )
    result.at_least("good_ones_done_meanwhile", len(good & set(here.effects())) if drained else 0, len(good))
    result.at_least("failing_ones_that_waited", len(waiting), WAITING // FAILS / 2)
    result.at_least("errors", len(refused), 2)
    result.at_most("slowest_error", max(refused, default=0.0), TIMEOUT + 0.5)
    result.at_most("lost", len(ids - set(here.effects())), 0)
    result.at_most("buried", broker.figures("alarmed").dead, 0)
    result.at_most("back_after", back, 10)
    result.at_least("alive", alive, 3)
    result.at_most("bad_exits", sum(status != 0 for status in statuses), 0)
    broker.close()
