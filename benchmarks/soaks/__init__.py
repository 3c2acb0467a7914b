"""Faults and load, for long."""
