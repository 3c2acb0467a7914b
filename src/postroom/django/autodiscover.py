"""``queues`` and ``workers`` of every installed app, modules or packages. What their import raises passes through."""

from django.apps import apps

from postroom.queues.discovery import load_submodule


def import_queues() -> None:
    """Imports what declares queues: every process needs it."""
    _import("queues")


def import_workers() -> None:
    """Imports what declares workers: only those that consume need it, and who publishes by a name that it
    declares."""
    _import("workers")


def _import(name: str) -> None:
    for app in apps.get_app_configs():
        load_submodule(app.name, name)
