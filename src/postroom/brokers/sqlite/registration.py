"""A hold's place among the holds of a database: its lock, its bell, its row, and its eye on the others."""

import logging
import random
import sqlite3
import time

from . import liveness
from .liveness import Lock, Registered
from .wake import Bell

log = logging.getLogger("postroom.sqlite")


class Registration:
    """One hold's. ``id`` is its number in the database, a new one after each loss; 0 before the first."""

    def __init__(self, path: str, name: str) -> None:
        self._path = path
        self._name = name
        self._lock: Lock | None = None
        self._others: list[Registered] = []
        self._checked = 0.0
        self._lenient_until = 0.0
        self.bell: Bell | None = None
        self.id = 0

    def prepare(self) -> None:
        """Makes the lock and the bell where they are missing. Raises OSError where the lock cannot be made."""
        if self._lock is None or not self._lock.present():
            if self._lock is not None:
                self._lock.release()
                self._lock = None
            self._lock = Lock(self._path)
        if self.bell is None or not self.bell.present():
            if self.bell is not None:
                self.bell.close()
            self.bell = Bell()
            if self.bell.trouble:
                log.warning("no socket to be woken by (%s): new events are seen within 0.5 s", self.bell.trouble)

    def enter(self, connection: sqlite3.Connection) -> int:
        """The number of a new row in ``holds``, to be ``id`` once it is committed.

        Events that an earlier row may still hold go back. Within a transaction.
        """
        assert self._lock is not None
        assert self.bell is not None
        if self.id:
            liveness.strike(connection, self.id, returns=0)
        new = connection.execute(
            "INSERT INTO holds (name, lock, socket, lease) VALUES (?, ?, ?, ?)",
            (self._name, self._lock.name, self.bell.path, liveness.renewed()),
        ).lastrowid
        assert new is not None
        return new

    def mend(self, connection: sqlite3.Connection) -> None:
        """Makes the lock and the bell anew if something has removed their files. Outside a transaction."""
        assert self._lock is not None
        assert self.bell is not None
        if not (self._lock.present() and self.bell.present()):
            self.prepare()
            connection.execute(
                "UPDATE holds SET lock = ?, socket = ? WHERE id = ?", (self._lock.name, self.bell.path, self.id)
            )

    def renew(self, connection: sqlite3.Connection) -> None:
        """Renews the lease. Within a transaction."""
        connection.execute("UPDATE holds SET lease = ? WHERE id = ?", (liveness.renewed(), self.id))

    def read_others(self, connection: sqlite3.Connection) -> None:
        """Learns which other holds there are."""
        self._others = [other for other in liveness.registered(connection) if other.id != self.id]

    def be_lenient(self) -> None:
        """Others may have had no chance to renew their leases: looks at those only in 5 s."""
        self._lenient_until = time.monotonic() + liveness.RENEW

    def fallen(self, connection: sqlite3.Connection, everyone: bool) -> list[Registered]:
        """Other holds that are dead or hang. Without ``everyone`` a few are asked, and who hangs every 5 s only."""
        asked = self._others
        if not everyone and len(asked) > liveness.PROBED_AT_ONCE:
            asked = random.sample(asked, liveness.PROBED_AT_ONCE)
        found = [other for other in asked if not liveness.alive(self._path, other.lock)]
        now = time.monotonic()
        if now >= self._lenient_until and (everyone or now >= self._checked + liveness.RENEW):
            self._checked = now
            found += [other for other in self._others if other.lease < now and liveness.hung(connection, other.id)]
        return found

    def strike(self, connection: sqlite3.Connection, other: Registered) -> dict[int, int]:
        """Gives back the events of a fallen hold, how many of which queue. Within a transaction."""
        if not liveness.alive(self._path, other.lock):
            liveness.sweep(self._path, other)
        elif time.monotonic() < self._lenient_until or not liveness.hung(connection, other.id):
            return {}
        return dict(liveness.strike(connection, other.id, returns=1))

    def leave(self, connection: sqlite3.Connection) -> dict[int, int]:
        """Gives back what is in hand and removes the row. Within a transaction."""
        return dict(liveness.strike(connection, self.id, returns=0))

    def close(self) -> None:
        """Removes the lock and the bell."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        if self.bell is not None:
            self.bell.close()
            self.bell = None
