"""Work in a forked child, with whatever the parent had open."""

import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.brokers.conformance.consumer import PATIENCE


@contextmanager
def in_fork(work: Callable[[], None]) -> Iterator[None]:
    """Runs ``work`` in a fork of this process beside the body; afterwards, raises what went wrong in it."""
    with TemporaryDirectory() as folder:
        trouble = Path(folder, "trouble")
        pid = os.fork()
        if pid == 0:
            try:
                work()
            except BaseException:  # noqa: BLE001 - the parent raises it
                trouble.write_text(traceback.format_exc())
            os._exit(0)
        try:
            yield
        finally:
            _reap(pid)
        assert not trouble.exists(), trouble.read_text()


def _reap(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            raise AssertionError(f"the forked child did not end within {PATIENCE} s")
        time.sleep(0.01)
