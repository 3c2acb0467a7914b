"""Between a typed payload and the JSON bytes of a message's body. Both ways are checked against the type."""

import math
import sys
from typing import Any, Generic, TypeVar, cast

import msgspec

from postroom.errors import DeclarationError, WrongPayload

P = TypeVar("P")

_encode = msgspec.json.Encoder().encode


class BadBody(Exception):
    """A body that is not JSON or not of the payload's shape; the message is the reason."""


class Codec(Generic[P]):
    """Encodes and decodes the payloads of one type.

    ``type`` may be ``dict``, a TypedDict, a dataclass, a ``msgspec.Struct``, any other type msgspec knows
    (https://jcristharif.com/msgspec/supported-types.html), a pydantic model, or ``Any``.
    Raises DeclarationError when it is none of these.
    """

    def __init__(self, type: Any) -> None:
        self.type = type
        self._pydantic = _is_pydantic(type)
        if self._pydantic:
            return
        try:
            self._decode = msgspec.json.Decoder(type).decode
            _refuse_unknown(type)
        except (TypeError, NotImplementedError) as error:
            raise DeclarationError(f"{_name(type)} cannot be a payload type: {error}") from error

    def encode(self, queue: str, payload: Any) -> bytes:
        """The payload as JSON. A mapping is accepted for any type that has fields.

        Raises WrongPayload, naming ``queue``, unless ``decode`` would take the result.
        """
        try:
            if self._pydantic and isinstance(payload, self.type):
                body = cast(bytes, payload.model_dump_json().encode())
            else:
                body = _encode(payload)
            self.decode(body)
        except (BadBody, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise WrongPayload(f"the payload for queue {queue!r} is not a {_name(self.type)}: {error}") from error
        # JSON has no NaN: msgspec writes null, which would arrive as something else than was sent.
        if b"null" in body and has_nan(payload):
            raise WrongPayload(f"the payload for queue {queue!r} holds NaN or infinity, which JSON cannot carry")
        return body

    def decode(self, body: bytes) -> P:
        """The payload. Unknown fields are ignored, missing ones take their defaults. Raises BadBody."""
        try:
            if self._pydantic:
                return cast(P, self.type.model_validate_json(body))
            return cast(P, self._decode(body))
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise BadBody(str(error)) from error

    def convert(self, data: Any) -> P:
        """The payload from parsed JSON, as an ``upgrade`` returns it. Raises BadBody."""
        try:
            if self._pydantic:
                return cast(P, self.type.model_validate(data))
            return cast(P, msgspec.convert(data, self.type))
        except (msgspec.ValidationError, ValueError, RecursionError) as error:
            raise BadBody(str(error)) from error


def parse(body: bytes) -> Any:
    """The body as plain JSON values. Raises BadBody."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadBody(str(error)) from error


def _refuse_unknown(type: Any) -> None:
    """msgspec takes any class, for a hook to make. There is none, so not one body would be a payload."""

    def hook(kind: Any, value: Any) -> Any:
        raise DeclarationError(
            f"{_name(kind)} cannot be a payload type: make it a dataclass, or another type of JSON"
        )

    try:
        msgspec.json.Decoder(type, dec_hook=hook).decode(b"null")
    except msgspec.DecodeError:
        return


def _is_pydantic(type: Any) -> bool:
    # Never imported for this: if no module did, no type of its can be here.
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(type, pydantic.BaseModel.__class__)


def has_nan(value: Any) -> bool:
    """Whether a number is in it that JSON cannot carry."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(has_nan, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(has_nan, value))
    if hasattr(value, "model_dump"):
        return has_nan(value.model_dump())
    if hasattr(value, "__struct_fields__") or hasattr(value, "__dataclass_fields__"):
        return has_nan(msgspec.to_builtins(value))
    return False


def _name(type: Any) -> str:
    return getattr(type, "__qualname__", None) or str(type)
