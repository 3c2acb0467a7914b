"""Importing an application, with its mistakes told in one line."""

import traceback

from postroom.errors import DeclarationError, PostroomError
from postroom.queues import discovery


def load(app: str) -> None:
    """Imports the application. Whatever its import raises becomes a DeclarationError in one line."""
    try:
        discovery.load(app)
    except PostroomError:
        raise
    except Exception as error:
        raise DeclarationError(f"{app} cannot be imported: {_what_and_where(error)}") from error


def _what_and_where(error: Exception) -> str:
    what = traceback.format_exception_only(error)[-1].strip()
    if isinstance(error, SyntaxError):
        return f"{what} ({error.filename}, line {error.lineno})"
    # The import machinery's own frames say nothing about the application.
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    return f"{what} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else what
