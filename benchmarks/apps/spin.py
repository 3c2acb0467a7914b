"""Python work of a fixed amount: turns of a loop, not a time, so that waiting for a processor is no work.

``python -m benchmarks.apps.spin calibrate MICROSECONDS`` prints how many turns take so long here.
``python -m benchmarks.apps.spin loop EVENTS``: the loop of a worker without any broker; prints its events a second.
"""

import json
import os
import sys
import time

TURNS = int(os.environ.get("SPIN_TURNS", "0"))


def spin() -> int:
    """``SPIN_TURNS`` turns."""
    total = 0
    for number in range(TURNS):
        total += number * number
    return total


def _calibrate(seconds: float) -> int:
    global TURNS
    TURNS = 200_000
    took = []
    for _ in range(5):
        start = time.perf_counter()
        spin()
        took.append(time.perf_counter() - start)
    return round(TURNS * seconds / min(took))


def _loop(events: int) -> float:
    from benchmarks.apps.count import Visit, visit
    from postroom.wire.codec import Codec

    codec: Codec[Visit] = Codec(Visit)
    bodies = [codec.encode("works", visit(number)) for number in range(events)]
    decode = codec.decode
    start = time.perf_counter()
    for body in bodies:
        decode(body)
        spin()
    return events / (time.perf_counter() - start)


if __name__ == "__main__":
    what, given = sys.argv[1:]
    if what == "calibrate":
        print(json.dumps({"turns": _calibrate(float(given) / 1e6)}))
    else:
        print(json.dumps({"rate": _loop(int(given))}))
