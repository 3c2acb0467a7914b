"""``manage.py postroom VERB``."""

import argparse
import sys
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from postroom.cli.main import VERBS, main
from postroom.django.management.light import become
from postroom.errors import did_you_mean
from postroom.queues.discovery import DJANGO


class Command(BaseCommand):
    """Runs a verb with this project as its application."""

    help = "postroom's commands: " + ", ".join(VERBS) + ". VERB --help tells more of each."
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """The verb, and all that follows is the verb's."""
        parser.add_argument("verb", metavar="VERB")
        parser.add_argument("words", nargs=argparse.REMAINDER, metavar="…", help="the verb's own arguments")

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises CommandError for an unknown verb, SystemExit with the verb's status where it is not 0."""
        name, words = options["verb"].replace("-", "_"), options["words"]
        if name not in VERBS:
            raise CommandError(f"there is no command {name!r}{did_you_mean(name, list(VERBS))}", returncode=2)
        if name == "process_queue":
            call_command(name, *words)
            return
        if name == "run":
            become(name, words)
        status = main([name, "--app", DJANGO, *words])
        if status:
            sys.exit(status)
