"""``order_by``: from an event's payload to the key whose events keep their order."""

import hashlib
from collections.abc import Callable
from typing import Any, Final, get_type_hints

from postroom.errors import DeclarationError, WrongPayload, did_you_mean

LONGEST_KEY: Final = 255
"""Bytes in UTF-8; of a longer key its hash is taken."""


class OrderBy:
    """The order of one queue. ``by``: the name of a field of the payload, or a function from payload to key."""

    def __init__(self, queue: str, by: str | Callable[[Any], str | int], payload: Any) -> None:
        self._queue = queue
        self._by = by
        self.check(payload)

    def check(self, payload: Any) -> None:
        """Raises DeclarationError where payloads of this type have no such field."""
        if not isinstance(self._by, str):
            if not callable(self._by):
                raise DeclarationError(
                    f"queue {self._queue!r}: order_by is {self._by!r}; "
                    "give a field's name, or a function of the payload"
                )
            return
        try:
            fields = list(get_type_hints(payload)) if isinstance(payload, type) else []
        except NameError:  # an annotation that cannot be resolved here; its publishes will tell
            return
        if fields and self._by not in fields:
            raise DeclarationError(
                f"queue {self._queue!r}: order_by is {self._by!r}, which is no field of its payload"
                f"{did_you_mean(self._by, fields)}"
            )

    def key(self, payload: Any) -> str:
        """The key of a decoded payload. Raises WrongPayload where it is neither text nor a whole number; what a
        function raises passes through."""
        if not isinstance(self._by, str):
            found: object = self._by(payload)
        elif isinstance(payload, dict):
            found = payload.get(self._by)
        else:
            found = getattr(payload, self._by, None)
        if isinstance(found, bool) or not isinstance(found, str | int):
            name = self._by if isinstance(self._by, str) else self._by.__name__
            raise WrongPayload(
                f"the payload for queue {self._queue!r} has no place in its order: {name} is {found!r}, "
                "and a key is text or a whole number"
            )
        text = str(found)
        encoded = text.encode()
        if len(encoded) <= LONGEST_KEY:
            return text
        return "blake2b:" + hashlib.blake2b(encoded, digest_size=32).hexdigest()
