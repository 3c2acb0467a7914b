"""Running a verb of ``postroom`` as a Django command."""

import sys
from argparse import Namespace
from types import ModuleType
from typing import Any

from django.core.management.base import CommandError

from postroom.cli.usage import UsageError
from postroom.errors import PostroomError
from postroom.queues.discovery import DJANGO


def run(verb: ModuleType, options: dict[str, Any]) -> None:
    """Runs it. Raises CommandError for a user's mistake, SystemExit where its status is not 0."""
    try:
        status = int(verb.run(Namespace(app=DJANGO, **options)))
    except PostroomError as error:
        raise CommandError(str(error)) from error
    except UsageError as error:
        raise CommandError(str(error), returncode=2) from error
    if status:
        sys.exit(status)
