"""A queue's declaration: its name, what travels on it, and what happens to what fails."""

import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from postroom.errors import DeclarationError
from postroom.wire.codec import Codec

from .order import OrderBy

P = TypeVar("P")

MAX_ATTEMPTS = 10
MAX_CRASHES = 3
MAX_BYTES = 1 << 20
BACKOFF = 5.0

declared: "dict[str, Queue[Any]]" = {}
"""By name. To be read through the registry."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


class Queue(Generic[P]):
    """A queue for payloads of one type. Declaring it registers it; nothing is opened.

    ``name``: letters, digits, ``_``, ``.`` and ``-``, up to 100; not ending in ``.dead``, which is where dead
    letters go. ``payload``: a dataclass, TypedDict, ``msgspec.Struct``, pydantic model or any other type of JSON;
    left out, any JSON is taken (or, once a worker is assigned, what its annotation says).

    ``max_attempts``: after so many failed attempts an event is buried. ``backoff``: the first retry comes after
    up to that many seconds, each further one after up to twice as many, an hour at most (full jitter).
    ``max_crashes``: an event that has killed so many executors is buried. ``max_bytes``: larger payloads are
    refused when published and buried when they come from elsewhere. ``version`` and ``upgrade``: events that
    were published under an older version have their parsed JSON passed through ``upgrade(data, version)``
    before it is decoded; an event without a version has version 1. ``order_by``: a field of the payload, or a
    function of it, that gives each event its key, text or a whole number: events of one key are consumed in the
    order in which they were published, one after the other; different keys side by side. One that fails is
    retried in place, for 10 minutes at most, and its followers wait.

    Raises DeclarationError.
    """

    @overload
    def __init__(
        self,
        name: str,
        payload: type[P],
        *,
        max_attempts: int = ...,
        backoff: float = ...,
        max_crashes: int = ...,
        max_bytes: int = ...,
        version: int = ...,
        upgrade: Callable[[Any, int], Any] | None = ...,
        order_by: str | Callable[[P], str | int] | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: "Queue[Any]",
        name: str,
        payload: Any = ...,
        *,
        max_attempts: int = ...,
        backoff: float = ...,
        max_crashes: int = ...,
        max_bytes: int = ...,
        version: int = ...,
        upgrade: Callable[[Any, int], Any] | None = ...,
        order_by: str | Callable[[Any], str | int] | None = ...,
    ) -> None: ...
    def __init__(
        self,
        name: str,
        payload: Any = Any,
        *,
        max_attempts: int = MAX_ATTEMPTS,
        backoff: float = BACKOFF,
        max_crashes: int = MAX_CRASHES,
        max_bytes: int = MAX_BYTES,
        version: int = 1,
        upgrade: Callable[[Any, int], Any] | None = None,
        order_by: str | Callable[[Any], str | int] | None = None,
    ) -> None:
        if not _NAME.fullmatch(name) or name.endswith(".dead"):
            raise DeclarationError(
                f"{name!r} cannot name a queue: use up to 100 letters, digits, '_', '.' and '-', "
                "and do not end in '.dead'"
            )
        for option, value, least in (
            ("max_attempts", max_attempts, 1),
            ("max_crashes", max_crashes, 1),
            ("max_bytes", max_bytes, 1),
            ("version", version, 1),
            ("backoff", backoff, 0),
        ):
            if value < least:
                raise DeclarationError(f"queue {name!r}: {option} is {value}, it must be at least {least}")
        if version > 1 and upgrade is None:
            raise DeclarationError(
                f"queue {name!r} is at version {version}: give upgrade=, which turns older events into it"
            )
        self.name = name
        self.max_attempts = max_attempts
        self.backoff = backoff
        self.max_crashes = max_crashes
        self.max_bytes = max_bytes
        self.version = version
        self.upgrade = upgrade
        self.codec: Codec[P] = Codec(payload)
        self.order = None if order_by is None else OrderBy(name, order_by, payload)

        if name in declared:
            raise DeclarationError(f"queue {name!r} is declared twice; import the one Queue instead")
        declared[name] = self

    @property
    def payload(self) -> Any:
        """The type of the payloads; ``Any`` where none was given."""
        return self.codec.type

    def __repr__(self) -> str:
        return f"Queue({self.name!r}, {getattr(self.payload, '__name__', self.payload)})"
