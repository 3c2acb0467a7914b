"""Importing an application so that its declarations fill the registry."""

import importlib
import importlib.util
import pkgutil

from postroom.errors import DeclarationError
from postroom.settings import settings

DJANGO = "django"


def load(app: str) -> None:
    """Imports the module ``app`` and, where they exist, its ``queues`` and ``workers``, modules or packages.

    ``"django"`` stands for the Django project of DJANGO_SETTINGS_MODULE: the installed apps' ``queues.py`` and
    ``workers.py`` are imported. An import error of the application's own passes through.
    Raises DeclarationError when there is no such module.
    """
    if app == DJANGO:
        bootstrap = importlib.import_module("postroom.django.bootstrap")
        bootstrap.load_project()
        return
    try:
        found = importlib.util.find_spec(app)
    except ModuleNotFoundError as error:
        if error.name is None or not app.startswith(error.name):
            raise
        found = None
    if found is None:
        raise DeclarationError(f"there is no module {app!r} to import; is --app right, and the folder?")
    module = importlib.import_module(app)
    if hasattr(module, "__path__"):
        for name in ("queues", "workers"):
            load_submodule(app, name)


def load_submodule(package: str, name: str) -> None:
    """Imports ``package.name`` if there is one; where it is a package, every module in it."""
    full = f"{package}.{name}"
    if importlib.util.find_spec(full) is None:
        return
    module = importlib.import_module(full)
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        importlib.import_module(f"{full}.{found.name}")


def load_configured() -> None:
    """Imports the application that the settings name, if they name one."""
    app = settings().app
    if app is not None:
        load(app)
