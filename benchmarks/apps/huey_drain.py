"""The same for Huey's SQLite store, at its own defaults (``fsync`` off)."""

from huey import SqliteHuey

from benchmarks.apps.count import Count
from benchmarks.apps.record import folder

huey = SqliteHuey(filename=str(folder() / "huey.db"))
count = Count("huey")


@huey.task()  # type: ignore[untyped-decorator]
def visit(user: int, path: str, note: str) -> None:
    count.add(1)
