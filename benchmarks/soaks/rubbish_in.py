"""Random bytes and random JSON of the wrong shape through a typed queue, good events between them.

Held if all rubbish is buried with a reason, all that is good is done, and one executor did it all.
"""

import json
import random
import time

from benchmarks.result import Result, progress
from benchmarks.scene import Scene, scene, until
from postroom.brokers.base import Fate
from postroom.wire import headers as h
from postroom.wire.message import Message, new_id


def run(broker: str, short: bool = False) -> Result:
    """10,000 of each kind; 500 in the short form."""
    result = Result(f"rubbish-in on {broker}")
    with scene(broker) as here:
        _soak(here, 500 if short else 10_000, result)
    return result


def _soak(here: Scene, each: int, result: Result) -> None:
    chance = random.Random(11)
    good: set[str] = set()
    bad: set[str] = set()
    messages = []
    for number in range(each):
        kinds = (chance.randbytes(chance.randrange(200)), _wrong(chance, 0), None)
        for body in kinds if number % 5 == 0 else kinds[:2]:
            event_id = new_id()
            (good if body is None else bad).add(event_id)
            right = json.dumps({"email": f"{number}@example.com", "team": number, "tags": []}).encode()
            messages.append(Message(event_id, right if body is None else body, {}, time.time()))
    chance.shuffle(messages)
    broker = here.broker()
    for start in range(0, len(messages), 500):
        broker.publish("guests", messages[start : start + 500], 0, 30)
    progress(f"{len(bad)} bad ones and {len(good)} good ones are in")
    started = time.monotonic()
    consumer = here.consumer("rubbish")
    ended = until(lambda: broker.figures("guests").dead >= len(bad) and len(here.effects()) >= len(good), 240)
    seconds = time.monotonic() - started
    consumer.terminate()
    status = consumer.wait(30)
    if not ended:
        progress(here.log()[-4000:])
    reasons: dict[str, str] = {}
    broker.sweep_dead("guests", lambda letter: _note(reasons, letter))
    done = [line.split() for line in here.effects()]
    result.note(bad=len(bad), good=len(good), seconds=round(seconds, 1))
    result.at_most("rubbish_not_buried", len(bad - set(reasons)), 0)
    result.at_most("good_buried", len(set(reasons) & good), 0)
    result.at_most("buried_without_reason", sum(not reason for reason in reasons.values()), 0)
    result.at_most("good_not_done", len(good - {event_id for event_id, _ in done}), 0)
    result.at_most("executors", len({pid for _, pid in done}), 1)
    result.at_most("bad_exits", float(status != 0), 0)


def _note(reasons: dict[str, str], letter: Message) -> Fate:
    reasons[letter.id] = h.text(letter.headers, h.REASON)
    return Fate.KEEP


def _wrong(chance: random.Random, depth: int) -> bytes:
    """JSON that is no Guest."""
    value = _value(chance, depth)
    if isinstance(value, dict):
        value.pop("email", None)
    return json.dumps(value).encode()


def _value(chance: random.Random, depth: int) -> object:
    kind = chance.randrange(7 if depth < 3 else 5)
    if kind == 0:
        return None
    if kind == 1:
        return chance.random() * 10 ** chance.randrange(-5, 300)
    if kind == 2:
        return "".join(chr(chance.randrange(1, 0xD7FF)) for _ in range(chance.randrange(20)))
    if kind == 3:
        return chance.getrandbits(chance.randrange(1, 200))
    if kind == 4:
        return chance.random() < 0.5
    items = [_value(chance, depth + 1) for _ in range(chance.randrange(5))]
    if kind == 5:
        return items
    return {chance.choice(("email", "team", "tags", "other")): item for item in items}
