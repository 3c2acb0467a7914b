"""A network between RabbitMQ and everybody else that lies: held, cut, delayed and sliced, in each direction.

Held if every event whose publish returned is consumed, publishers and consumers went on by themselves, and a peer
that fell silent was noticed within two heartbeats. (Where only the way to RabbitMQ is held, RabbitMQ notices, within
three: over a real network the unacknowledged bytes tell us sooner, but a proxy on loopback acknowledges them.)
"""

import time
from collections import Counter

from msgspec import Struct
from tests.proxy import Proxy

from benchmarks.result import Result, progress
from benchmarks.scene import Scene, kill, scene, until
from postroom.brokers.connect import connect

HEARTBEAT = 5
SLACK = 1.0  # seconds in which what was noticed is in the log, on a busy machine


class Fault(Struct):
    """What is done to the network: ``how`` to which ways, for so many seconds."""

    how: str
    ways: tuple[str, ...]
    seconds: float

    def begin(self, proxy: Proxy) -> None:
        if self.how == "reset":
            proxy.cut()
        for name in self.ways:
            way = proxy.up if name == "up" else proxy.down
            way.held = self.how == "held"
            way.sliced = self.how == "sliced"
            way.latency = 3.0 if self.how == "late" else 0.0
            way.cut_after = 1000 if self.how == "cut in a frame" else None

    def __str__(self) -> str:
        return " ".join((self.how, *self.ways))


QUICK = [Fault("reset", (), 0), *(Fault("cut in a frame", (way,), 2) for way in ("up", "down"))]
SLOW = [
    Fault(how, ways, seconds)
    for how, seconds in (("sliced", 5.0), ("late", 12.0), ("held", 3 * HEARTBEAT + 3.0))
    for ways in (("up",), ("down",), ("up", "down"))
]


def run(short: bool = False) -> Result:
    """Every fault; in the short form those that are quick, and silence in both directions."""
    result = Result("bad-network")
    with scene("rabbitmq") as here:
        assert here.node is not None
        proxy = Proxy(here.node.port)
        here.url = f"{here.node.url.replace(f':{here.node.port}', f':{proxy.port}')}?heartbeat={HEARTBEAT}"
        try:
            _soak(here, proxy, [*QUICK, SLOW[-1]] if short else [*QUICK, *SLOW, *QUICK], result)
        finally:
            proxy.close()
    return result


def _soak(here: Scene, proxy: Proxy, faults: list[Fault], result: Result) -> None:
    publishers = [here.start("-m", "benchmarks.apps.publisher", "50") for _ in range(2)]
    consumers = [here.consumer("steady") for _ in range(2)]
    until(lambda: len(here.effects()) > 20, 40)
    back: dict[str, float] = {}
    noticed: dict[str, float] = {}
    direct = connect(here.node.url) if here.node is not None else here.broker()

    def all_connected() -> bool:
        return proxy.connections >= 4 and direct.figures("steady").consumers == 2

    for fault in faults:
        until(all_connected, 30)
        losses = _losses(here)
        fault.begin(proxy)
        began = time.monotonic()
        if fault.how == "held":
            until(lambda: _losses(here) >= losses + 4, fault.seconds)  # noqa: B023
            noticed[str(fault)] = round(time.monotonic() - began, 1)
        time.sleep(max(0.0, began + fault.seconds - time.monotonic()))
        proxy.heal()
        healed = time.monotonic()
        published, done = len(here.effects("published")), len(here.effects())
        until(lambda: len(here.effects("published")) > published + 5, 60)  # noqa: B023
        until(lambda: len(here.effects()) > done + 5, 60)  # noqa: B023
        back[str(fault)] = round(time.monotonic() - healed, 1)
        progress(f"{fault}: going on after {back[str(fault)]} s, noticed after {noticed.get(str(fault), '–')} s")  # noqa: RUF001
    alive = sum(process.poll() is None for process in publishers + consumers)
    until(all_connected, 30)
    figures = direct.figures("steady")
    for process in publishers:
        kill(process.pid)
    published_ids = set(here.effects("published"))
    if not until(lambda: published_ids <= set(here.effects()), 60):
        progress(here.log()[-4000:])
    done_ids = Counter(here.effects())
    statuses = here.stop(consumers, 30)
    result.note(
        published=len(published_ids),
        done=len(done_ids),
        refused=len(here.effects("refused")),
        twice=sum(done_ids.values()) - len(done_ids),
        going_on_after=back,
        noticed_after=noticed,
    )
    result.at_most("lost", len(published_ids - set(done_ids)), 0)
    result.at_most("buried", direct.figures("steady").dead, 0)
    result.at_least("alive", alive, 4)
    result.at_least("consumers_at_the_end", figures.consumers, 2)
    result.at_most("bad_exits", sum(status != 0 for status in statuses), 0)
    result.at_most("longest_back", max(back.values()), 20)
    silent = [seconds for fault, seconds in noticed.items() if "down" in fault]
    result.at_most("longest_unnoticed", max(silent), 2 * HEARTBEAT + SLACK)
    result.at_most("longest_unnoticed_by_rabbitmq", max(noticed.values()), 3 * HEARTBEAT + SLACK)


def _losses(here: Scene) -> int:
    """How many lost connections the four processes have told of."""
    return here.log().count("connection to RabbitMQ was lost")
