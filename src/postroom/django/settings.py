"""``POSTROOM`` in Django's settings."""

import sys
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

from postroom.errors import SettingsError, did_you_mean
from postroom.settings import SETTINGS, use

# The application is the project itself, so that there is no APP to set.
KEYS = tuple(name.upper() for name in SETTINGS if name != "app")


def take_settings() -> None:
    """Makes ``POSTROOM`` the settings in force; relative paths start at BASE_DIR. Raises SettingsError."""
    given = getattr(settings, "POSTROOM", {})
    if not isinstance(given, Mapping):
        raise SettingsError(f'POSTROOM in settings must be a dict such as {{"BROKER": "…"}}, not {given!r:.80}')
    for key in given:
        if key not in KEYS:
            raise SettingsError(f"unknown key {key!r} of POSTROOM in settings{did_you_mean(str(key).upper(), KEYS)}")
    use(given, _base_dir(), "POSTROOM in settings")


def _base_dir() -> str:
    """BASE_DIR; without it, what ``startproject`` writes there: the folder above that of the settings module."""
    base = getattr(settings, "BASE_DIR", None)
    if base is not None:
        return str(Path(base))
    module = sys.modules.get(settings.SETTINGS_MODULE or "__main__")
    file = getattr(module, "__file__", None)
    return str(Path(file).resolve().parents[1 if settings.SETTINGS_MODULE else 0]) if file else str(Path.cwd())
