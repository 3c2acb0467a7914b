"""A channel's messages as a page shows them: by day, and what one author says in one go together."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from accounts.models import User
from teams.models import Message

IN_ONE_GO = timedelta(minutes=5)


@dataclass
class Group:
    author: User
    begun: datetime
    day: date | None  # set where a new day begins
    messages: list[Message] = field(default_factory=list)


def grouped(messages: Iterable[Message]) -> list[Group]:
    """Groups messages that are in the order of their sending."""
    groups: list[Group] = []
    last: Message | None = None
    for message in messages:
        new_day = last is None or last.sent.date() != message.sent.date()
        if new_day or last is None or last.author_id != message.author_id or message.sent - last.sent > IN_ONE_GO:
            groups.append(Group(message.author, message.sent, message.sent.date() if new_day else None))
        groups[-1].messages.append(message)
        last = message
    return groups
