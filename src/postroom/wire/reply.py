"""A reply: what a worker's ``consume`` returned, as JSON, or the error that came instead, by name. Never pickled."""

import msgspec
from msgspec import Struct

from postroom.errors import PostroomError, RequestFailed

from . import headers as h
from .codec import BadBody, has_nan, parse
from .message import Headers

MOST = 1 << 20


class WrongReply(PostroomError):
    """What the worker returned cannot be sent as a reply."""


class Reply(Struct):
    """One reply as the brokers see it: JSON and, where it is an error, the header that names it."""

    headers: Headers
    body: bytes


def encoded(returned: object) -> bytes:
    """What ``consume`` returned, as JSON. Raises WrongReply where msgspec cannot encode it, or above 1 MiB."""
    try:
        if hasattr(returned, "model_dump_json"):  # a pydantic model, which msgspec does not know
            body: bytes = returned.model_dump_json().encode()
        else:
            body = msgspec.json.encode(returned)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise WrongReply(f"the worker returned a {type(returned).__qualname__}, which is no JSON: {error}") from error
    if b"null" in body and has_nan(returned):
        raise WrongReply("the worker returned NaN or infinity, which JSON cannot carry")
    if len(body) > MOST:
        raise WrongReply(f"the worker returned {len(body)} bytes as JSON, a reply has {MOST} at most")
    return body


def of_error(error: str, text: str) -> Reply:
    """The reply that carries an error: its name in a header, and for other programs both in the body."""
    return Reply({h.ERROR: error}, msgspec.json.encode({"error": error, "text": text}))


def returned(queue: str, reply: Reply) -> object:
    """The value that a reply carries. Raises RequestFailed where it carries an error, or is no JSON."""
    try:
        value = parse(reply.body)
    except BadBody as bad:
        sentence = f"the reply to a request of queue {queue!r} is no JSON: {bad}"
        raise RequestFailed(sentence, "BadBody", str(bad)) from bad
    name = h.text(reply.headers, h.ERROR)
    if not name:
        return value
    text = str(value.get("text", "")) if isinstance(value, dict) else ""
    raise RequestFailed(f"the worker of queue {queue!r} raised {name}{': ' if text else ''}{text}", name, text)
