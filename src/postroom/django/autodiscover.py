"""The ``queues.py`` and ``workers.py`` of every installed app. What their import raises passes through."""

from django.utils.module_loading import autodiscover_modules


def import_queues() -> None:
    """Imports what declares queues: every process needs it."""
    autodiscover_modules("queues")


def import_workers() -> None:
    """Imports what declares workers: only those that consume need it, and who publishes by a name that it
    declares."""
    autodiscover_modules("workers")
