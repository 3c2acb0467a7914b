"""Decisions as pure functions: from numbers to numbers, with time and chance passed in."""
