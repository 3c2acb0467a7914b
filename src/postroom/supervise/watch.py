"""Watching code: what is saved is told at once, and watching costs next to nothing."""

import asyncio
from collections.abc import Callable

from postroom.errors import PostroomError


def check_installed() -> None:
    """Raises PostroomError where the library that watches is missing."""
    try:
        import watchfiles  # noqa: F401
    except ImportError:
        raise PostroomError("--reload needs watchfiles: pip install 'postroom[reload]'") from None


async def watch(folders: list[str], changed: Callable[[list[str]], None], stop: asyncio.Event) -> None:
    """Calls ``changed`` with the names of Python files that were saved, made or removed beneath the folders, until
    ``stop``. Saves of one moment (50 ms) are told together."""
    import watchfiles

    async for changes in watchfiles.awatch(
        *folders, watch_filter=watchfiles.PythonFilter(), debounce=200, step=50, stop_event=stop, recursive=True
    ):
        changed(sorted({path for _, path in changes}))
