"""The project in ``project`` is Django's: pytest runs in it as its own developers would run it, not from here."""

collect_ignore = ["project"]
