"""Jobs that outlast what the broker is patient for: heartbeats, and RabbitMQ's ``consumer_timeout``.

Held if a job that never lets go of the GIL for three heartbeats is begun once, and its connection lives; and if jobs
of three times the consumer_timeout, at two consumers, are done, go round a bounded number of times, are not buried,
and the log says what to set.
"""

import subprocess
import time
from collections import Counter

from benchmarks.result import Result, progress
from benchmarks.scene import Scene, scene, until
from postroom.brokers.rabbitmq.patience import limit
from postroom.wire.message import Message, new_id

CONSUMERS = 2
JOBS = 3


def run(short: bool = False) -> Result:
    """Heartbeats of 5 s and a consumer_timeout of 10 s; 1 and 2 s in the short form."""
    heartbeat, patience = (1, 2) if short else (5, 10)
    result = Result("long-jobs")
    with scene("rabbitmq") as here:
        _hold_the_gil(here, heartbeat, result)
        _outlast(here, patience, result)
    return result


def _hold_the_gil(here: Scene, heartbeat: int, result: Result) -> None:
    consumer = _consumer(here, "gil", f"{here.url}?heartbeat={heartbeat}")
    ids = _publish(here, "gil", 1, 3.0 * heartbeat)
    done = until(lambda: here.effects() == ids, 3 * heartbeat + 30)
    progress(f"the GIL was held for {3 * heartbeat} s")
    here.stop([consumer], 20)
    result.at_least("gil_done", done, 1)
    result.at_most("gil_begun", here.effects("begun").count(ids[0]), 1)
    result.at_most("gil_connections_lost", here.log().count("the broker is gone"), 0)


def _outlast(here: Scene, patience: int, result: Result) -> None:
    assert here.node is not None
    # As consumer_timeout in rabbitmq.conf would set it; and looked at more often than once a minute.
    for name, milliseconds in (("consumer_timeout", patience * 1000), ("channel_tick_interval", patience * 100)):
        here.node.control("eval", f"application:set_env(rabbit, {name}, {milliseconds}).")
    started = time.monotonic()
    consumers = [_consumer(here, "long", here.url) for _ in range(CONSUMERS)]
    ids = _publish(here, "long", JOBS, 3.0 * patience)
    # Two side by side, each of them perhaps at both consumers, one after the other.
    longest = 3 * patience * JOBS * CONSUMERS + 30
    done = until(lambda: set(ids) <= set(here.effects()), longest)
    took = time.monotonic() - started
    broker = here.broker()
    emptied = until(lambda: broker.figures("long").ready == 0, 10)
    statuses = here.stop(consumers, 3 * patience + 20)
    log = here.log()
    begun = Counter(here.effects("begun"))
    figures = broker.figures("long")
    broker.close()
    progress(f"{JOBS} jobs of {3 * patience} s took {took:.0f} s")
    if not done or figures.dead:
        progress(log[-400000:])
    result.note(
        seconds=round(took, 1),
        begun=sorted(begun[event] for event in ids),
        channels_closed=log.count("RabbitMQ took the queue 'long'"),
    )
    result.at_least("long_done", len(set(ids) & set(here.effects())), JOBS)
    result.at_most("most_begun", max(begun[event] for event in ids), CONSUMERS)
    result.at_least("emptied", emptied, 1)
    result.at_most("left", figures.ready, 0)
    result.at_most("buried", figures.dead, 0)
    if limit(here.node.control("version")) is not None:
        result.at_least("advice_at_start", log.count("long has no time limit, but RabbitMQ"), CONSUMERS)
        result.at_least("advice_when_closed", log.count("A job took longer than that"), 1)
    else:
        result.at_most("taken_back", log.count("RabbitMQ took the queue"), 0)
    result.at_most("bad_exits", sum(status != 0 for status in statuses), 0)


def _consumer(here: Scene, queue: str, url: str) -> "subprocess.Popen[bytes]":
    flags = ("--app", "benchmarks.apps.long", "--queue", queue)
    return here.start("-m", "postroom", "process_queue", *flags, POSTROOM_BROKER=url)


def _publish(here: Scene, queue: str, count: int, seconds: float) -> list[str]:
    messages = [Message(new_id(), b'{"seconds": %.1f}' % seconds, {}, time.time()) for _ in range(count)]
    broker = here.broker()
    broker.publish(queue, messages, 0, 10)
    broker.close()
    return [message.id for message in messages]
