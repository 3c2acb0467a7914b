"""A small project's settings. What a test run must keep apart comes from the environment."""

import os
from pathlib import Path

BASE_DIR = Path(os.environ.get("PROJECT_DATA", Path(__file__).parent.parent))
SECRET_KEY = "for tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "conf.urls"
INSTALLED_APPS = ["postroom.django", "guests"]
MIDDLEWARE: list[str] = []
USE_TZ = True


def _database(name: str) -> dict[str, object]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / f"{name}.db",
        # A file in tests too: Django never closes a database in memory.
        "TEST": {"NAME": BASE_DIR / f"test-{name}.db"},
        "CONN_MAX_AGE": int(os.environ.get("PROJECT_CONN_MAX_AGE", "0")),
        "OPTIONS": {"timeout": 20, "init_command": "PRAGMA journal_mode=wal"},
    }


DATABASES = {"default": _database("default"), "other": _database("other")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

POSTROOM = {"BROKER": "sqlite:///postroom.db", "PUBLISH_TIMEOUT": 10}
