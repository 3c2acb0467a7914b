"""The dead letters of a queue: swept page by page, so that a million of them need no more memory than a few."""

import sqlite3
from collections.abc import Callable

from postroom.brokers.base import Fate
from postroom.wire.headers import key, revived
from postroom.wire.message import Message

from . import wake
from .publish import encoded
from .reading import message

PAGE = 50


class Sweep:
    """One way through the letters that are there when it starts, oldest first."""

    def __init__(self, queue: int, last: int, judge: Callable[[Message], Fate]) -> None:
        self._queue = queue
        self._last = last
        self._judge = judge
        self._seen = 0
        self.met = dict.fromkeys(Fate, 0)

    def read(self, connection: sqlite3.Connection) -> list[tuple[int, Message]]:
        """The next page; empty at the end."""
        rows = connection.execute(
            "SELECT seq, id, body, headers, published FROM dead"
            " WHERE queue = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
            (self._queue, self._seen, self._last, PAGE),
        ).fetchall()
        if rows:
            self._seen = rows[-1][0]
        return [(seq, message(*rest)) for seq, *rest in rows]

    def judge(self, page: list[tuple[int, Message]]) -> list[tuple[int, Message, Fate]]:
        """What is to become of each; outside any transaction, for it may take its time."""
        return [(seq, letter, self._judge(letter)) for seq, letter in page]

    def carry_out(self, connection: sqlite3.Connection, judged: list[tuple[int, Message, Fate]]) -> list[str]:
        """Does it. Within a transaction. Returns the bells of those who wait for what was requeued.

        A letter that another sweep has taken meanwhile counts as kept.
        """
        for seq, letter, fate in judged:
            if fate is not Fate.KEEP and not self._leave(connection, seq, letter, fate):
                fate = Fate.KEEP
            self.met[fate] += 1
        return wake.waiting(connection, self._queue)

    def _leave(self, connection: sqlite3.Connection, seq: int, letter: Message, fate: Fate) -> bool:
        if fate is Fate.REQUEUE:
            connection.execute(
                "INSERT INTO events (queue, state, published, id, headers, body, key)"
                " SELECT queue, 0, published, id, ?, body, ? FROM dead WHERE seq = ?",
                (encoded(revived(letter.headers)), key(letter.headers), seq),
            )
        return connection.execute("DELETE FROM dead WHERE seq = ?", (seq,)).rowcount == 1
