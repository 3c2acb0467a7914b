"""The application under test: is it Django's, and where are its workers?"""

import sys

from postroom.queues import discovery
from postroom.settings import settings


def django_is_used() -> bool:
    """Whether Django is set up in this process. It is not imported for this."""
    apps = sys.modules.get("django.apps")
    return apps is not None and bool(apps.apps.ready)


def load_workers() -> None:
    """Imports the workers, where it is known what to import; elsewhere the test has imported them."""
    app = settings().app
    if django_is_used():
        from django.utils.module_loading import autodiscover_modules

        autodiscover_modules("workers")
    elif app is not None and app != discovery.DJANGO:
        discovery.load(app)
