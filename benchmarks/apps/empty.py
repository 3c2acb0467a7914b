"""An application of one queue that does nothing."""

from typing import Any

from postroom import assign_queue


@assign_queue("nothing")
def nothing(event: Any) -> None:
    return
