"""The lane: one block at a time is executed or committed, in a worker thread, so that the loop stays free."""

from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")


class Lane:
    """Runs blocking functions one after the other, in the order of the calls."""

    def __init__(self) -> None:
        self._turn = trio.StrictFIFOLock()
        self._thread = trio.CapacityLimiter(1)

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`. Once begun it ends, even if the caller is cancelled: no half a commit."""
        async with self._turn:
            return await trio.to_thread.run_sync(work, limiter=self._thread)
