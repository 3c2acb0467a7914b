"""The code is saved again and again under steady load, in ``postroom run --reload``.

Held if each save is running within a second (median), and no event is lost or done twice by it.
"""

import statistics
import time
from collections import Counter

from benchmarks.result import Result, progress
from benchmarks.scene import ROOT, Scene, kill, scene, until

CODE = """
from benchmarks.apps.record import record
from postroom import Queue, assign_queue, current_event

steady = Queue("steady", dict[str, int], backoff=0.5)

@assign_queue(steady)
def work(event: dict[str, int]) -> None:
    record(f"{{current_event().id}} {version}")
"""


def run(broker: str, short: bool = False) -> Result:
    """50 saves; 3 in the short form."""
    result = Result(f"reload on {broker}")
    with scene(broker) as here:
        _soak(here, 3 if short else 50, result)
    return result


def _soak(here: Scene, saves: int, result: Result) -> None:
    code = here.folder / "saved.py"
    code.write_text(CODE.format(version=0))
    path = f"{here.folder}:{ROOT}/src:{ROOT}"
    running = here.start("-m", "postroom", "run", "--reload", "--app", "saved", PYTHONPATH=path)
    publisher = here.start("-m", "benchmarks.apps.publisher", "100")
    until(lambda: len(here.effects()) > 20, 30)
    took = []
    for version in range(1, saves + 1):
        code.write_text(CODE.format(version=version))
        saved = time.monotonic()
        if not until(lambda: bool(here.effects()) and here.effects()[-1].endswith(f" {version}"), 20):  # noqa: B023
            progress(here.log()[-3000:])
        took.append(time.monotonic() - saved)
        time.sleep(0.3)
    progress(f"{saves} saves: running after {statistics.median(took):.2f} s (median), {max(took):.2f} s (longest)")
    kill(publisher.pid)
    published = set(here.effects("published"))
    until(lambda: published <= {line.split()[0] for line in here.effects()}, 30)
    done = Counter(line.split()[0] for line in here.effects())
    running.terminate()
    status = running.wait(30)
    result.note(saves=saves, published=len(published), longest=round(max(took), 2))
    result.at_most("median", statistics.median(took), 1.0)
    result.at_most("lost", len(published - set(done)), 0)
    result.at_most("twice", sum(done.values()) - len(done), 0)
    result.at_most("bad_exit", float(status != 0), 0)
