"""The lane: blocking work runs in one worker thread, one job after the other, so that the loop stays free."""

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
        """Returns the result of `work`, which once begun runs to its end even if the caller is cancelled."""
        async with self._turn:
            return await trio.to_thread.run_sync(work, limiter=self._thread)
