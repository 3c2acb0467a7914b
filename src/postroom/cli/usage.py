"""The error of a command that was given in a wrong way."""


class UsageError(Exception):
    """The message says how it is right. Exit status 2."""
