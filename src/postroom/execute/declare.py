"""What an executor tells of its application: the queues that have workers, and where the broker is."""

from postroom.queues import discovery, registry
from postroom.queues.assign import Assignment
from postroom.settings import override, settings

from .protocol import Declared, QueueDeclaration, Start


def declare(start: Start) -> Declared:
    """Imports the application and reads its declarations. What its import raises passes through."""
    override(**start.flags)
    discovery.load(start.app)
    current = settings()
    return Declared([_declaration(each) for each in registry.assignments().values()], current.broker, current.secrets)


def _declaration(assignment: Assignment) -> QueueDeclaration:
    queue, options = assignment.queue, assignment.options
    return QueueDeclaration(
        name=queue.name,
        kind=assignment.kind,
        max_attempts=queue.max_attempts,
        backoff=queue.backoff,
        max_crashes=queue.max_crashes,
        max_bytes=queue.max_bytes,
        version=queue.version,
        timeout=options.timeout,
        concurrency=options.concurrency,
        processes=options.processes,
        prefetch=options.prefetch,
        batch_size=options.batch_size,
        batch_seconds=options.batch_seconds,
        recycle_events=options.recycle_events,
        recycle_memory=options.recycle_memory,
        ordered=queue.order is not None,
    )
