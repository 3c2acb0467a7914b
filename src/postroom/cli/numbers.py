"""Numbers on the command line."""

import argparse


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("give a whole number, 1 or more")
    return number


def seconds(text: str) -> float:
    """Seconds, from 0 to an hour."""
    number = float(text)
    if not 0 <= number <= 3600:
        raise argparse.ArgumentTypeError("give seconds, from 0 to 3600")
    return number


def address(text: str) -> tuple[str, int]:
    """``PORT`` on 127.0.0.1, or ``HOST:PORT``."""
    host, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError("give a port, or HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)
