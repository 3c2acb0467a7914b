"""From what a consume raised to the outcome that goes up."""

import os
import traceback

from postroom.queues.signals import Bury, Drop, Retry

from .protocol import Failed
from .request import Expired

MOST_ERROR = 1000
MOST_TRACEBACK = 16_384

_OURS = os.path.dirname(__file__)  # noqa: PTH120


def failure(lane: int, seq: int, error: BaseException, seconds: float) -> Failed:
    """The outcome of a consume that raised ``error`` after ``seconds``."""
    if isinstance(error, Expired):
        return Failed(lane, seq, "expired", _text(error), "", 0.0, seconds)
    if isinstance(error, Retry):
        return Failed(lane, seq, "retry", _text(error), "", error.after, seconds)
    if isinstance(error, Bury):
        return Failed(lane, seq, "bury", _text(error), _trace(error), 0.0, seconds)
    if isinstance(error, Drop):
        return Failed(lane, seq, "drop", _text(error), "", 0.0, seconds)
    return Failed(lane, seq, "failed", _sentence(error), _trace(error), 0.0, seconds)


def rubbish(lane: int, seq: int, reason: str, newer: bool) -> Failed:
    """The outcome of a body that cannot be decoded; ``newer``: its version is one we do not know."""
    return Failed(lane, seq, "newer" if newer else "rubbish", _cut(reason, MOST_ERROR), "", 0.0, 0.0)


def _sentence(error: BaseException) -> str:
    kind = type(error)
    module = str(kind.__module__)
    known = module == "builtins" or module.startswith("postroom.")
    name = kind.__qualname__ if known else f"{module}.{kind.__qualname__}"
    text = _text(error)
    return _cut(f"{name}: {text}" if text else name, MOST_ERROR)


def _text(error: BaseException) -> str:
    try:
        return _cut(str(error), MOST_ERROR)
    except BaseException as broken:  # noqa: BLE001 - a __str__ of the user's may raise anything
        return f"(its text cannot be had: {type(broken).__name__})"


def _trace(error: BaseException) -> str:
    """The traceback without our own frames, which tell nobody anything."""
    told = traceback.TracebackException.from_exception(error, limit=-50, compact=True)
    told.stack[:] = [frame for frame in told.stack if not frame.filename.startswith(_OURS)]
    return _cut("".join(told.format()), MOST_TRACEBACK)


def why_not_started(error: BaseException) -> str:
    """The traceback of an import or a start that failed, without the frames of Postroom and of the import system."""
    told = traceback.TracebackException.from_exception(error, compact=True)
    ours = os.path.dirname(_OURS)  # noqa: PTH120
    told.stack[:] = [
        frame for frame in told.stack if not frame.filename.startswith(ours) and "importlib" not in frame.filename
    ]
    return _cut("".join(told.format()), MOST_TRACEBACK)


def _cut(text: str, most: int) -> str:
    """At most ``most`` characters, the middle left out; nothing that UTF-8 cannot carry."""
    if len(text) > most:
        half = most // 2 - 10
        text = f"{text[:half]}\n[… cut …]\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode()
