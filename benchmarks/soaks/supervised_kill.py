"""The printed supervisor file, run by the real supervisord, on RabbitMQ under load: each second a consumer or an
executor is killed, and every ten the whole group is restarted, while a backlog stands.

Held if no event is lost or buried, all programs are back and empty their queues, and nothing is left behind.
"""

import random
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tests.supervisord import Supervisord

from benchmarks.result import Result, progress
from benchmarks.scene import ROOT, Scene, executors_of, kill, scene, until
from postroom.brokers.base import Broker
from postroom.wire.message import Message, new_id

WORK = 0.02  # seconds that an event takes
GROUP = "postroom-workers:*"


def run(short: bool = False) -> Result:
    """12 queues for 60 s; 3 queues for 3 s with one restart in the short form."""
    result = Result("supervised-kill")
    with scene("rabbitmq") as here:
        here.url = here.url.replace("guest:guest@", "guest@")  # printed files hold no password
        _soak(here, 3 if short else 12, 3.0 if short else 60.0, result)
    return result


def _soak(here: Scene, count: int, seconds: float, result: Result) -> None:
    names = [f"supervised-{number}" for number in range(count)]
    environment = here.environment(QUEUES=str(count))
    app = "benchmarks.apps.supervised"
    deploy = [sys.executable, "-m", "postroom", "deploy", "supervisor", "--app", app]
    printed = subprocess.run(deploy, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    own = {"QUEUES": str(count), "SCENE_FOLDER": str(here.folder)}
    broker = here.broker()
    with Supervisord(printed, **own) as supervisor, ThreadPoolExecutor(1) as pool:
        until(lambda: _all_run(supervisor, count), 60)
        ids = _fill(broker, names, seconds)
        publisher = here.start("-m", app, "50", QUEUES=str(count))
        kills, backlogs, restarts = _disturb(supervisor, pool, broker, names, seconds)
        back = time.monotonic()
        running = until(lambda: _all_run(supervisor, count), 60)
        kill(publisher.pid)
        ids |= set(here.effects("published"))
        drained = until(lambda: ids <= set(here.effects()), 90)
        progress(f"all running again and drained after {time.monotonic() - back:.1f} s")
        consumers = sum(broker.figures(name).consumers for name in names)
        if not (running and drained):
            progress(supervisor.control("status") + supervisor.log()[-6000:])
    done = here.effects()
    result.note(published=len(ids), kills=kills, restarts=restarts, twice=len(done) - len(set(done)))
    result.note(refused=len(here.effects("refused")))
    result.at_least("least_backlog_at_a_restart", min(backlogs, default=0), 1)
    result.at_most("lost", len(ids - set(done)), 0)
    result.at_most("buried", sum(broker.figures(name).dead for name in names), 0)
    result.at_least("consumers_at_the_end", consumers, count)
    result.at_most("left_behind", len(_left_behind(here.folder)), 0)
    broker.close()


def _all_run(supervisor: Supervisord, count: int) -> bool:
    pids = supervisor.pids().values()
    return len(pids) == count and all(executors_of(pid) for pid in pids)


def _fill(broker: Broker, names: list[str], seconds: float) -> set[str]:
    """A backlog for half of that time, if everybody worked all the time: this machine is too small for that."""
    ids = set()
    for name in names:
        messages = [Message(new_id(), b'{"n": 0}', {}, time.time()) for _ in range(int(seconds / WORK / 2))]
        broker.publish(name, messages, 0, 30)
        ids |= {message.id for message in messages}
    return ids


def _disturb(
    supervisor: Supervisord, pool: ThreadPoolExecutor, broker: Broker, names: list[str], seconds: float
) -> tuple[dict[str, int], list[int], int]:
    """How many of each kind were killed, the events that waited at each restart, and how many restarts there were."""
    kills, backlogs = {"consumers": 0, "executors": 0}, []
    restart: Future[str] | None = None
    restarts = 0
    for second in range(int(seconds)):
        until_next = time.monotonic() + 1
        # Whatever it is doing: starting, working, stopping.
        consumers = supervisor.children()
        executors = [pid for consumer in consumers for pid in executors_of(consumer)]
        kind, pids = ("executors", executors) if second % 2 and executors else ("consumers", consumers)
        if pids:
            kill(random.choice(pids))
            kills[kind] += 1
        if second % 10 == 1 and (restart is None or restart.done()):
            backlogs.append(sum(broker.figures(name).ready for name in names))
            restart = pool.submit(supervisor.control, "restart", GROUP)
            restarts += 1
        time.sleep(max(0.0, until_next - time.monotonic()))
    if restart is not None:
        restart.result()
    progress(f"killed {kills}; {restarts} restarts of the group, with {backlogs} events waiting")
    return kills, backlogs, restarts


def _left_behind(folder: Path) -> list[int]:
    """Processes that still have this scene in their environment."""
    mark = f"SCENE_FOLDER={folder}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:  # gone meanwhile
            continue
    return found
