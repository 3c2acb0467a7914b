"""``manage.py purge_queue``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from postroom.cli import purge_queue
from postroom.cli.main import add_broker_argument
from postroom.django.management import verb


class Command(BaseCommand):
    """Deletes what waits in a queue."""

    help = purge_queue.__doc__ or ""
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """Those of ``postroom purge_queue``."""
        add_broker_argument(parser)
        purge_queue.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises CommandError."""
        verb.run(purge_queue, options)
