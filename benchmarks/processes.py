"""What the kernel knows of a process (Linux)."""

import os
from pathlib import Path


def cpu(pid: int) -> float:
    """The processor time, in seconds, that a process has used so far, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
