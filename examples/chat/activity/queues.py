"""What travels when a page is viewed."""

from dataclasses import dataclass

from postroom import Queue


@dataclass(frozen=True)
class PageView:
    page: str  # the route, not the address: there are few of them
    user: int  # 0: not signed in
    at: float  # seconds since the epoch


user_activity = Queue("user_activity", PageView)
