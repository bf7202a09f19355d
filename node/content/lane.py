"""The content store's lane: all work on its files runs in one worker thread, one job after the other.

Nothing else uses the store: it is not safe for several threads. Not here: what the jobs do.
"""

from collections.abc import Callable
from typing import TypeVar

from node.ledger.lane import Lane
from storage.content.store import ContentStore

T = TypeVar("T")


class ContentLane:
    """Runs jobs on a content store for tasks of the loop."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store
        self._lane = Lane()

    async def run(self, work: Callable[[ContentStore], T]) -> T:
        """The result of `work` on the store. A job that has begun ends, even if the caller is cancelled."""
        return await self._lane.run(lambda: work(self._store))
