"""Tables for people."""

import shutil
import sys
from collections.abc import Sequence

from .text import clipped


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = (), fit: bool = False) -> str:
    """Rows in columns under ``heads``, two spaces apart. ``right``: the columns of numbers, which end at the
    same place. ``fit``: the last column is cut where the terminal ends; off a terminal nothing is."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    width = terminal_width() if fit else None
    lines = []
    for row in (heads, *rows):
        cells = [cell.rjust(widths[n]) if n in right else cell.ljust(widths[n]) for n, cell in enumerate(row)]
        lines.append(clipped("  ".join(cells).rstrip(), width))
    return "\n".join(lines)


def terminal_width() -> int | None:
    """How many characters fit in a line of standard output; None where it is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
