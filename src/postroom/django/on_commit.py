"""Publishing when the transaction commits."""

from collections.abc import Sequence
from functools import partial

from django.db import DEFAULT_DB_ALIAS, connections

from postroom.publish.door import publish_now
from postroom.wire.message import Message


def publish_on_commit(queue: str, messages: Sequence[Message], delay: float) -> None:
    """The way of every publish in Django. Inside ``atomic()`` the messages go out when the transaction has
    committed, in order, and never if it, or the savepoint they belong to, is rolled back; otherwise at once.

    What the broker refuses then is raised where the transaction ends, by the exit of the outermost ``atomic()``;
    the database has committed, and nothing that was to follow on commit happens any more. Where transactions on
    several databases are open, that of ``default`` counts, or else the first. A transaction that is managed by
    hand (``set_autocommit(False)``) is not seen, nor is one by ``aqueue_json_publish``: async code has none.
    """
    alias = _alias_in_transaction()
    if alias is None:
        publish_now(queue, messages, delay)
    else:
        connections[alias].on_commit(partial(publish_now, queue, list(messages), delay))


def _alias_in_transaction() -> str | None:
    # Only the connections that this thread has opened: nothing is connected for this.
    aliases = [each.alias for each in connections.all(initialized_only=True) if each.in_atomic_block]
    if DEFAULT_DB_ALIAS in aliases:
        return DEFAULT_DB_ALIAS
    return aliases[0] if aliases else None
