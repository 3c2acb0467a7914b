"""The broker is killed again and again while events are published and consumed.

Held if every event whose publish returned is consumed, and publishers and consumers went on by themselves.
"""

import time
from collections import Counter

from benchmarks.result import Result, progress
from benchmarks.scene import Scene, kill, scene, until


def run(short: bool = False) -> Result:
    """5 kills; 1 in the short form."""
    result = Result("rabbitmq-kill")
    with scene("rabbitmq") as here:
        _soak(here, 1 if short else 5, result)
    return result


def _soak(here: Scene, kills: int, result: Result) -> None:
    assert here.node is not None
    publishers = [here.start("-m", "benchmarks.apps.publisher", "50") for _ in range(2)]
    consumers = [here.consumer("steady") for _ in range(2)]
    until(lambda: len(here.effects()) > 20, 40)
    back = []
    for number in range(kills):
        time.sleep(2)
        here.node.kill()
        here.node.start()
        up = time.monotonic()
        published, done = len(here.effects("published")), len(here.effects())
        until(lambda: len(here.effects("published")) > published + 5, 60)  # noqa: B023
        publishing = time.monotonic() - up
        until(lambda: len(here.effects()) > done + 5, 60)  # noqa: B023
        back.append((round(publishing, 1), round(time.monotonic() - up, 1)))
        progress(f"kill {number + 1}: publishing again after {back[-1][0]} s, consuming after {back[-1][1]} s")
    alive = sum(process.poll() is None for process in publishers + consumers)
    for process in publishers:
        kill(process.pid)
    published_ids = set(here.effects("published"))
    drained = until(lambda: published_ids <= set(here.effects()), 60)
    done_ids = Counter(here.effects())
    statuses = here.stop(consumers, 30)
    if not drained:
        progress(here.log()[-4000:])
    result.note(
        published=len(published_ids),
        done=len(done_ids),
        refused=len(here.effects("refused")),
        twice=sum(done_ids.values()) - len(done_ids),
        back_after=back,
    )
    result.at_most("lost", len(published_ids - set(done_ids)), 0)
    result.at_most("buried", here.broker().figures("steady").dead, 0)
    result.at_least("alive", alive, 4)
    result.at_most("bad_exits", sum(status != 0 for status in statuses), 0)
    result.at_most("longest_back", max(consuming for _, consuming in back), 30)
