"""The installed app: when Django is ready, so are its queues."""

from django.apps import AppConfig

from postroom.publish import door
from postroom.queues import registry

from .autodiscover import import_queues, import_workers
from .on_commit import publish_on_commit
from .settings import take_settings


class PostroomConfig(AppConfig):
    """Reads ``POSTROOM``, imports every installed app's ``queues.py``, and opens nothing."""

    name = "postroom.django"
    label = "postroom"
    verbose_name = "Postroom"

    def ready(self) -> None:
        """Raises SettingsError; what a ``queues.py`` raises passes through."""
        take_settings()
        registry.on_unknown_queue(import_workers)
        door.route(publish_on_commit)
        import_queues()
