"""``@assign_queue``: which worker empties a queue, and how."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from msgspec import Struct

from postroom.errors import DeclarationError
from postroom.wire.codec import Codec

from .queue import Queue, declared
from .worker import BatchWorker, Worker

W = TypeVar("W", bound=Callable[..., Any])

TIMEOUT = 300.0


class Options(Struct, frozen=True, kw_only=True):
    """How a worker is run; ``assign_queue`` explains each."""

    timeout: float | None = TIMEOUT
    concurrency: int = 1
    processes: int = 1
    prefetch: int | None = None
    batch_size: int = 100
    batch_seconds: float = 1.0
    recycle_events: int | None = None
    recycle_memory: int | None = None
    burst: tuple[float, float] = (120.0, 240.0)
    steady: tuple[float, float] = (30.0, 60.0)


class Assignment(Struct, frozen=True):
    """A worker and how it is run."""

    queue: Queue[Any]
    target: Any
    kind: str  # "worker", "batch", "function" or "async"
    options: Options

    @property
    def where(self) -> str:
        """The worker's full name, for messages."""
        return f"{self.target.__module__}.{self.target.__qualname__}"


assigned: dict[str, Assignment] = {}
"""By the queue's name. To be read through the registry."""


def assign_queue(
    queue: Queue[Any] | str,
    *,
    timeout: float | None = TIMEOUT,
    concurrency: int = 1,
    processes: int = 1,
    prefetch: int | None = None,
    batch_size: int = 100,
    batch_seconds: float = 1.0,
    recycle_events: int | None = None,
    recycle_memory: int | None = None,
    burst: tuple[float, float] = (120.0, 240.0),
    steady: tuple[float, float] = (30.0, 60.0),
) -> Callable[[W], W]:
    """Assigns the decorated worker to ``queue``: a Queue, or a name alone.

    The decorated thing is a ``Worker`` or ``BatchWorker`` subclass, or a plain or async function of one event.
    With a name alone the payload type is read from its annotation.

    ``timeout``: seconds one ``consume`` may take; then ``TimeLimitReached`` is raised in it, and after the
    process's grace it is killed. None: no limit. ``concurrency``: how many events one executor has in hand at
    once, by threads or, for async functions, tasks. ``processes``: how many executors. ``prefetch``: how many
    events a consumer holds; by default about one second's work. ``batch_size``, ``batch_seconds``: a batch is
    run when it has so many events or its oldest has waited so long. ``recycle_events``, ``recycle_memory``: the
    executor is replaced after so many events, or when it has used so many bytes. ``burst``, ``steady``: how many
    seconds the queue may need to clear before ``postroom check queues`` warns, and before it is critical: soon
    after it was empty, and later.

    Raises DeclarationError.
    """
    options = Options(
        timeout=timeout,
        concurrency=concurrency,
        processes=processes,
        prefetch=prefetch,
        batch_size=batch_size,
        batch_seconds=batch_seconds,
        recycle_events=recycle_events,
        recycle_memory=recycle_memory,
        burst=burst,
        steady=steady,
    )

    def assign(target: W) -> W:
        kind = _kind(target)
        its = _queue_for(queue, target, kind)
        _check(its.name, kind, options)
        if its.order is not None and kind == "batch":
            raise DeclarationError(
                f"queue {its.name!r} has order_by, and a batch worker has many events of a key in hand at once: "
                "use a Worker, or a function"
            )
        _add(Assignment(its, target, kind, options))
        return target

    return assign


def _add(assignment: Assignment) -> None:
    name = assignment.queue.name
    known = assigned.get(name)
    if known is not None:
        raise DeclarationError(
            f"queue {name!r} has a worker already, {known.where}; {assignment.where} cannot be another"
        )
    assigned[name] = assignment


def _kind(target: Any) -> str:
    if inspect.isclass(target) and issubclass(target, Worker | BatchWorker):
        _check_class(target)
        return "worker" if issubclass(target, Worker) else "batch"
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise DeclarationError(f"{target.__qualname__} is a generator: called, it would run nothing; drop its yield")
    if inspect.iscoroutinefunction(target):
        return "async"
    if inspect.isfunction(target):
        return "function"
    raise DeclarationError(
        f"{target!r} cannot be assigned a queue: it must be a Worker or BatchWorker subclass, or a function"
    )


def _check_class(target: type) -> None:
    name = "consume" if issubclass(target, Worker) else "consume_batch"
    consume = getattr(target, name)
    if inspect.isabstract(target):
        missing = ", ".join(sorted(target.__abstractmethods__))  # type: ignore[attr-defined]
        raise DeclarationError(f"{target.__qualname__} cannot be assigned a queue: it does not define {missing}")
    if any(
        is_a(consume)
        for is_a in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    ):
        raise DeclarationError(
            f"{target.__qualname__}.{name} is async or a generator: called, it would run nothing; "
            "assign the queue to an async function instead"
        )


def _queue_for(queue: Queue[Any] | str, target: Any, kind: str) -> Queue[Any]:
    """The declared queue; a name alone declares it. Its payload type and the worker's must agree."""
    wanted = _payload_type(target, kind)
    its = declared.get(queue) if isinstance(queue, str) else queue
    if its is None:
        return Queue(str(queue), wanted)
    if its.payload is Any:
        its.codec = Codec(wanted)
        if its.order is not None:
            its.order.check(wanted)
    elif wanted is not Any and wanted != its.payload:
        raise DeclarationError(
            f"{target.__qualname__} consumes {wanted!r}, but queue {its.name!r} carries {its.payload!r}"
        )
    return its


def _payload_type(target: Any, kind: str) -> Any:
    """What the worker's annotations say it consumes; Any where they say nothing."""
    if kind in ("function", "async"):
        names = list(inspect.signature(target).parameters)
        if not names:
            raise DeclarationError(f"{target.__qualname__} takes no argument: a worker takes the event")
        return get_type_hints(target).get(names[0], Any)
    for base in _bases(target):
        if get_origin(base) in (Worker, BatchWorker):
            payload = get_args(base)[0]
            return Any if isinstance(payload, TypeVar) else payload
    return Any


def _bases(target: type) -> list[Any]:
    return [base for cls in target.__mro__ for base in getattr(cls, "__orig_bases__", ())]


def _check(name: str, kind: str, options: Options) -> None:
    for option, value, least in (
        ("concurrency", options.concurrency, 1),
        ("processes", options.processes, 1),
        ("batch_size", options.batch_size, 1),
        ("prefetch", options.prefetch, 1),
        ("recycle_events", options.recycle_events, 1),
        ("recycle_memory", options.recycle_memory, 1),
    ):
        if value is not None and not least <= value <= 1 << 40:
            raise DeclarationError(f"queue {name!r}: {option} is {value}, it must be at least {least}")
    if options.timeout is not None and not options.timeout > 0:
        raise DeclarationError(f"queue {name!r}: timeout is {options.timeout} s; give more than 0, or None")
    for option, bounds in (("burst", options.burst), ("steady", options.steady)):
        if len(bounds) != 2 or not 0 <= bounds[0] <= bounds[1]:
            raise DeclarationError(
                f"queue {name!r}: {option} is {bounds}; give seconds for a warning, and more for critical"
            )
    if not 0 <= options.batch_seconds <= 3600:
        raise DeclarationError(f"queue {name!r}: batch_seconds is {options.batch_seconds}; give 0 to 3600")
    if options.batch_size > 10_000 or options.concurrency > 1000 or options.processes > 256:
        raise DeclarationError(f"queue {name!r}: batch_size is at most 10000, concurrency 1000 and processes 256")
    if kind == "batch" and options.concurrency > 1:
        raise DeclarationError(f"queue {name!r}: a batch worker runs one batch at a time; use processes")
    if kind == "batch" and options.prefetch is not None and options.prefetch < options.batch_size:
        raise DeclarationError(f"queue {name!r}: prefetch is below batch_size, so no batch would ever fill")
