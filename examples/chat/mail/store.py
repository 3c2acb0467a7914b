"""The mails that the catcher caught: the newest 2,000 of them, in one SQLite file."""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

MOST = 2000


@dataclass(frozen=True)
class Mail:
    number: int
    caught: float
    to: str
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=policy.default)

    @property
    def subject(self) -> str:
        return str(self.message.get("Subject", "(no subject)"))

    @property
    def sender(self) -> str:
        return str(self.message.get("From", ""))

    @property
    def text(self) -> str:
        body = self.message.get_body(("plain",))
        if body is None:
            return ""
        try:
            return str(body.get_content())
        except LookupError:  # a character set that nobody knows
            content = body.get_payload(decode=True)
            return content.decode("utf-8", "replace") if isinstance(content, bytes) else ""


class Store:
    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self) -> None:
        with closing(self._open()) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute(
                "CREATE TABLE mails (number INTEGER PRIMARY KEY AUTOINCREMENT, caught REAL, rcpt TEXT, raw BLOB)"
            )

    def add(self, to: str, raw: bytes) -> None:
        with closing(self._open()) as db, db:
            number = db.execute(
                "INSERT INTO mails (caught, rcpt, raw) VALUES (?, ?, ?)", (time.time(), to, raw)
            ).lastrowid
            db.execute("DELETE FROM mails WHERE number <= ?", ((number or 0) - MOST,))

    def newest(self, to: str = "", before: int = 1 << 62, most: int = 50) -> list[Mail]:
        """Mails with ``to`` in their recipient, newest first."""
        with closing(self._open()) as db:
            rows = db.execute(
                "SELECT number, caught, rcpt, raw FROM mails WHERE instr(rcpt, ?) AND number < ? "
                "ORDER BY number DESC LIMIT ?",
                (to.lower(), before, most),
            ).fetchall()
        return [Mail(*row) for row in rows]

    def get(self, number: int) -> Mail | None:
        with closing(self._open()) as db:
            row = db.execute("SELECT number, caught, rcpt, raw FROM mails WHERE number = ?", (number,)).fetchone()
        return None if row is None else Mail(*row)

    def count(self) -> int:
        with closing(self._open()) as db:
            return int(db.execute("SELECT count(*) FROM mails").fetchone()[0])

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=20)
