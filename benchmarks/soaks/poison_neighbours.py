"""One event that segfaults among a thousand good ones, with restarts, peeks and a killed broker; one that holds the
GIL for three heartbeats; one that never returns.

Held if exactly the bad ones are buried, after ``max_crashes``, and every good one is done.
"""

import time

from benchmarks.result import Result, progress
from benchmarks.scene import Scene, scene, until
from postroom.brokers.base import Fate
from postroom.wire import headers as h
from postroom.wire.message import Message, new_id

HEARTBEAT = 2
HARD = "was killed at its hard time limit"


def run(broker: str, short: bool = False) -> Result:
    """1,000 good events, 20 restarts and peeks, 4 broker kills; a tenth of that in the short form."""
    result = Result(f"poison-neighbours on {broker}")
    with scene(broker) as here:
        if here.node is not None:
            here.url += f"?heartbeat={HEARTBEAT}"
        _soak(here, 100 if short else 1000, 2 if short else 20, 1 if short else 4, result)
    return result


def _soak(here: Scene, events: int, restarts: int, broker_kills: int, result: Result) -> None:
    broker = here.broker()
    messages = [Message(new_id(), b'{"kind":"good"}', {}, time.time()) for _ in range(events)]
    poison = Message(new_id(), b'{"kind":"poison"}', {}, time.time())
    messages.insert(events // 2, poison)
    broker.publish("good", messages, 0, 30)
    seconds = 3 * HEARTBEAT
    gil = Message(new_id(), b'{"seconds":%d}' % seconds, {}, time.time())
    broker.publish("holds", [gil], 0, 30)
    hung = Message(new_id(), b"{}", {}, time.time())
    broker.publish("hangs", [hung], 0, 30)

    consumers = [here.consumer("poison", "--grace", "2") for _ in range(2)]
    until(lambda: len(here.effects()) > 5, 30)
    # The GIL's holder is left alone first: no restart may be what ended its connection.
    held = until(lambda: gil.id in here.effects("held"), 2 * seconds + 20)
    lost_connection = "the broker is gone" in here.log()
    kill_at = {(i + 1) * restarts // (broker_kills + 1) for i in range(broker_kills)}
    statuses = []
    for turn in range(restarts):
        old = consumers.pop(0)
        old.terminate()
        consumers.append(here.consumer("poison", "--grace", "2"))
        statuses.append(old.wait(30))
        if turn in kill_at and here.node is not None:
            progress("the broker is killed")
            here.node.kill()
            here.node.start()
        broker.peek("good", 50)
        time.sleep(0.5)
        progress(f"restart {turn + 1} of {restarts}: {len(here.effects())} done")
    wanted = {message.id for message in messages} - {poison.id}
    all_done = until(lambda: wanted <= set(here.effects()), 120)
    buried = until(lambda: broker.figures("good").dead >= 1 and broker.figures("hangs").dead >= 1, 90)
    statuses += here.stop(consumers, 30)
    if not (all_done and buried and held):
        progress(here.log()[-6000:])
    letters: list[Message] = []
    for queue in ("good", "hangs", "holds"):
        broker.sweep_dead(queue, lambda letter: _keep(letters, letter))
    dead = {letter.id: h.text(letter.headers, h.REASON) for letter in letters}
    log = here.log()
    crashes = {letter.id: h.number(letter.headers, h.CRASHES) for letter in letters}
    done = here.effects()
    result.note(done=len(set(done)), ran_again=len(done) - len(set(done)), buried=dead)
    # A count more than its runs is a return that a restart of the broker caused and a new consumer could not know.
    result.note(poison_counted=crashes.get(poison.id), poison_began=here.effects("bitten").count(poison.id))
    result.at_most("good_not_done", len(wanted - set(done)), 0)
    result.at_most("innocent_buried", len(set(dead) - {poison.id, hung.id}), 0)
    result.at_least("poison_buried", float(poison.id in dead), 1)
    result.at_least("hung_buried", float(hung.id in dead), 1)
    result.at_least("killed_at_hard_limit", float(f"{hung.id} attempt" in log and HARD in log), 1)
    result.at_most("poison_ran", here.effects("bitten").count(poison.id), 3 + (0 if here.node is None else 1))
    result.at_least("gil_held_and_done_once", float(here.effects("held").count(gil.id) == 1), 1)
    result.at_most("connection_lost_by_gil", float(lost_connection), 0)
    result.at_most("bad_exits", sum(status != 0 for status in statuses), 0)


def _keep(letters: list[Message], letter: Message) -> Fate:
    letters.append(letter)
    return Fate.KEEP
