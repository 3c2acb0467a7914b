"""A cluster of three RabbitMQ nodes on this machine: each is killed in turn under load, and started again before the
next.

Held if every event whose publish returned is consumed, if some publishes are confirmed in every 15 s, and if
afterwards each consumer consumes again.
"""

import time

from tests.rabbit import RabbitCluster

from benchmarks.fleet import Fleet
from benchmarks.result import Result, progress
from benchmarks.scene import scene


def run(short: bool = False) -> Result:
    """Each node twice; in the short form one kill of one node, for a cluster takes 10 s and more to start."""
    result = Result("cluster-kill")
    with RabbitCluster() as cluster, scene(cluster.url) as here:
        fleet = Fleet(here)
        outages, back = [], []
        for number in range(1 if short else 6):
            node = cluster.nodes[number % 3]
            gone = time.time()
            node.kill()
            while_down = fleet.resumed(60) or (60.0, 60.0)
            node.start()
            outages.append((gone, time.time()))
            once_up = fleet.resumed(60) or (60.0, 60.0)
            back.append(max(*while_down, *once_up))
            progress(f"kill {number + 1}: all at work again after {while_down} s, and {once_up} s after the start")
        deaf = fleet.resumed(60) is None
        gap = fleet.longest_gap()
        fleet.end(outages, result)
        result.note(kills=len(outages), back_after=back)
        result.at_most("longest_without_a_confirm", gap, 15)
        result.at_most("deaf", float(deaf), 0)
    return result
