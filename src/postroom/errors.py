"""Everything Postroom raises. Each message says what happened, to which queue or event, and what to do."""

from collections.abc import Sequence


class PostroomError(Exception):
    """The base of every error of Postroom's own."""


class SettingsError(PostroomError):
    """A setting is unknown, malformed or contradicts another."""


class DeclarationError(PostroomError):
    """A queue or a worker is declared in a way that cannot work."""


class UnknownQueue(PostroomError):
    """No queue of this name is declared in this process."""


class WrongPayload(PostroomError):
    """A payload does not have the shape its queue declares. Nothing was sent."""


class BrokerError(PostroomError):
    """The broker refused a request or cannot be reached."""


class Unsupported(BrokerError):
    """This broker cannot do what was asked of it."""


class PublishError(BrokerError):
    """One or more events were not confirmed by the broker.

    ``unpublished`` holds the ids of exactly those events; all others of the same call are safe.
    """

    def __init__(self, message: str, unpublished: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.unpublished = tuple(unpublished)


class NotPublished(PublishError):
    """The events are certainly not in the queue: publishing them again makes no duplicate."""


class PublishUnknown(PublishError):
    """The events may be in the queue: the broker went away before it answered.

    Publish again with the same ``event_id`` and a duplicate, if one arises, is recognisable by its id.
    """


class RequestFailed(PostroomError):
    """The worker raised, and this is its answer to a request: ``error`` is the exception's name, with its module
    unless it is Python's or Postroom's own ("ValueError", "shop.errors.NoSuchUser"), and ``text`` its message.
    """

    def __init__(self, message: str, error: str = "", text: str = "") -> None:
        super().__init__(message)
        self.error = error
        self.text = text


class NoReply(PostroomError, TimeoutError):
    """No reply came to a request. It may have run, may be running, or may never run."""


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """The end of an error sentence that names the words of ``known`` closest to ``word``, best first."""
    from difflib import get_close_matches  # for mistakes only

    close = get_close_matches(word, known, n=3, cutoff=0.5)
    if close:
        return f"; did you mean {' or '.join(repr(name) for name in close)}?"
    if known:
        return f"; known are {', '.join(sorted(known)[:20])}"
    return "; none is declared"
