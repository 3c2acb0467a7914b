"""Database connections around a consume, as Django does it around a request.

A connection that is broken or older than CONN_MAX_AGE is closed before and after each consume, on the thread
that has it. What is inside a transaction when a consume begins belongs to a test, and is left alone.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import Error, connections

from postroom.wire.event import Event

log = logging.getLogger("postroom")


def with_fresh_connections(queue: str, events: tuple[Event, ...]) -> Iterator[None]:
    """Middleware for ``around_consume``."""
    if _on_a_loop():
        yield from _of_a_task()
        return
    held = _before()
    try:
        yield
    finally:
        _after(held)


def _on_a_loop() -> bool:
    return asyncio._get_running_loop() is not None


_idle: list[ThreadSensitiveContext] = []


def _of_a_task() -> Iterator[None]:
    """For an async worker. Its queries run where ``sync_to_async`` puts them: here, on one thread for each event
    in hand. With the one thread that all tasks share otherwise, the end of one event would close the connection
    under another's cursor. The threads are kept, and their connections, as long as CONN_MAX_AGE says."""
    context = _idle.pop() if _idle else ThreadSensitiveContext()
    token = SyncToAsync.thread_sensitive_context.set(context)
    _on_thread_of(context, _before)
    try:
        yield
    finally:
        SyncToAsync.thread_sensitive_context.reset(token)
        _on_thread_of(context, lambda: _after(frozenset()))
        _idle.append(context)


def _on_thread_of(context: ThreadSensitiveContext, do: Callable[[], object]) -> None:
    # There is a thread only once a query was made. It does one thing after another, so nobody waits for this.
    executor = SyncToAsync.context_to_thread_executor.get(context)
    if executor is not None:
        executor.submit(do)


def _before() -> frozenset[str]:
    """Returns the aliases of the connections that are in a transaction already."""
    held = set()
    for each in connections.all(initialized_only=True):
        if each.in_atomic_block:
            held.add(each.alias)
        else:
            each.queries_log.clear()
            _close(each.alias, each.close_if_unusable_or_obsolete)
    return frozenset(held)


def _after(held: frozenset[str]) -> None:
    for each in connections.all(initialized_only=True):
        if each.alias in held:
            continue
        if not each.in_atomic_block:
            _close(each.alias, each.close_if_unusable_or_obsolete)
            continue
        # A time limit can strike while a transaction is being left. Nothing may be added to such a one: it would
        # never be committed.
        log.warning("a consume left a transaction open on database %r; it is rolled back", each.alias)
        _close(each.alias, each.close)
        del connections[each.alias]


def _close(alias: str, close: Callable[[], None]) -> None:
    try:
        close()
    except Error as error:
        # The connection is gone either way; the work that was done on it is not to be done again for that.
        log.warning("closing the connection to database %r: %s", alias, error)
