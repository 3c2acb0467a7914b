"""Queues in this process's memory, for tests: they behave as the durable ones do and are gone with the process."""

from .broker import MemoryBroker

__all__ = ["MemoryBroker"]
