"""The signals that a consumer sends to its executors."""

import signal

SOFT_LIMIT = signal.SIGALRM
"""A slot is over its limit: TimeLimitReached is to be raised in it."""

STACKS = signal.SIGUSR1
"""A slot is past half of its limit: all stacks go to stderr, even from within C."""
