"""Loading a Django project where no Django command has: in executors, and in ``postroom VERB --app django``."""

import importlib
import os

import django
from django.apps import apps

from postroom.errors import SettingsError
from postroom.queues.middleware import around_consume

from .autodiscover import import_workers
from .connections import with_fresh_connections

VARIABLE = "DJANGO_SETTINGS_MODULE"

_loaded = False


def load_project() -> None:
    """Sets Django up, unless it is, and imports the queues and workers of every installed app.

    Raises SettingsError when there are no settings, or ``postroom.django`` is not installed; what the project's
    own code raises passes through.
    """
    global _loaded
    if not _loaded:
        # First of all, so that it surrounds every middleware of the project's own.
        around_consume(with_fresh_connections)
        _loaded = True
    if not apps.ready:
        _import_settings()
        django.setup()
    if not apps.is_installed("postroom.django"):
        raise SettingsError('"postroom.django" is not in INSTALLED_APPS: add it')
    import_workers()


def _import_settings() -> None:
    name = os.environ.get(VARIABLE)
    if not name:
        raise SettingsError(f"{VARIABLE} is not set: set it to the project's settings module, or use manage.py")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only if it is the settings module itself that is missing, not one that it imports.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise SettingsError(
            f"{VARIABLE} is {name!r}, and there is no module {error.name!r}; is the name right, and the folder?"
        ) from error
