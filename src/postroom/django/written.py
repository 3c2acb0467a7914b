"""Where a project writes, as far as its settings say."""

from pathlib import Path

from django.conf import settings


def folders() -> list[str]:
    """The folders of its SQLite databases, and MEDIA_ROOT."""
    files = [
        database["NAME"] for database in settings.DATABASES.values() if database.get("ENGINE", "").endswith("sqlite3")
    ]
    found = [Path(file).absolute().parent for file in files if file and ":memory:" not in str(file)]
    if settings.MEDIA_ROOT:
        found.append(Path(settings.MEDIA_ROOT).absolute())
    return [str(folder) for folder in found]
