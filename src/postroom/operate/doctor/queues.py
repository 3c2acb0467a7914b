"""Queues and workers: declared, existing, consumed, paused, dead."""

import time
from collections.abc import Iterator

from postroom.brokers.base import Broker, Figures, MissingQueue
from postroom.errors import BrokerError
from postroom.operate.names import known
from postroom.queues import registry

from .finding import Finding, ok, problem, warning

SLOW = 2.0


def each(broker: Broker) -> Iterator[Finding]:
    """Looks at every queue that is declared or exists. Raises BrokerError."""
    existing = set(broker.queues())
    names = known(broker)
    if not names:
        yield warning("queues", "none is declared and none is known to exist", "name the application with --app")
        return
    declared = {queue.name for queue in registry.queues()}
    workers = registry.assignments()
    for name in names:
        if declared and name not in declared:
            yield from _undeclared(broker, name)
            continue
        if declared and name not in workers:
            yield warning(
                f"queue {name}",
                "no worker of this application is assigned to it",
                f'@assign_queue("{name}"), unless another program consumes it',
            )
        misfit = _misfit(broker, name)
        if misfit:
            yield problem(f"queue {name}", misfit, f"postroom migrate {name}")
            continue
        if existing and name not in existing:
            yield ok(f"queue {name}", "it does not exist yet; the first publish or worker makes it")
            continue
        yield from _existing(broker, name, name in workers)


def _left_in_shards(about: str, name: str, figures: Figures) -> Iterator[Finding]:
    if figures.in_shards and registry.queue(name).order is None:
        yield problem(
            about,
            f"{_events(figures.in_shards)} waiting in its shards, where nobody looks, as it has no order_by any more",
            "give it order_by again until they are consumed",
        )


def _misfit(broker: Broker, name: str) -> str:
    try:
        return broker.misfit(name)
    except BrokerError:
        return ""  # what is wrong is told with its figures


def _undeclared(broker: Broker, name: str) -> Iterator[Finding]:
    figures = broker.figures(name)
    yield warning(
        f"queue {name}",
        f"it exists with {_events(figures.ready)} and {_events(figures.dead, 'dead letter')}, and is not declared",
        "declare it again, or leave it be if it belongs to another application",
    )


def _existing(broker: Broker, name: str, has_worker: bool) -> Iterator[Finding]:
    about = f"queue {name}"
    started = time.monotonic()
    try:
        figures = broker.figures(name)
    except MissingQueue:
        yield ok(about, "it does not exist yet; the first publish or worker makes it")
        return
    except BrokerError as error:
        yield problem(about, str(error), "where a quorum queue has lost its leader, rabbitmq-queues tells")
        return
    took = time.monotonic() - started
    if took > SLOW:
        yield warning(about, f"the broker took {took:.1f} s to tell its figures", "look at the broker's load")
    yield from _left_in_shards(about, name, figures)
    yield from _figures(about, name, figures, has_worker)


def _figures(about: str, name: str, figures: Figures, has_worker: bool) -> Iterator[Finding]:
    healthy = True
    if figures.paused:
        healthy = False
        yield warning(about, f"it is paused; {_events(figures.ready)} waiting", f"postroom resume {name}")
    elif has_worker and figures.consumers == 0:
        healthy = False
        start = f"postroom process_queue --queue {name}"
        if figures.ready:
            yield problem(about, f"{_events(figures.ready)} waiting and nobody consumes", start)
        else:
            yield warning(about, "nobody consumes it", start)
    if figures.dead:
        healthy = False
        yield warning(about, _events(figures.dead, "dead letter"), f"postroom dead list {name}")
    if healthy:
        yield ok(about, f"{figures.ready:,} ready, {_events(figures.consumers, 'consumer')}")


def _events(number: int, noun: str = "event") -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
