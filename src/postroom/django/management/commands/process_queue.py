"""``manage.py process_queue``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from postroom.cli import process_queue
from postroom.cli.main import add_broker_argument
from postroom.django.management.light import become


class Command(BaseCommand):
    """Becomes a consumer."""

    help = process_queue.__doc__ or ""
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """Those of ``postroom process_queue``."""
        add_broker_argument(parser)
        process_queue.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Never returns."""
        words = ["--all"] if options["all"] else [f"--queue={name}" for name in options["queue"]]
        words.append(f"--grace={options['grace']}")
        if options["in_process"]:
            words.append("--in-process")
        words += [f"--{flag}" for flag in ("each", "json") if options[flag]]
        if options["broker"] is not None:
            words.append(f"--broker={options['broker']}")
        become("process_queue", words)
