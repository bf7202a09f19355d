"""The lane to the content store: what touches its files runs in one worker thread, one job after the other.

The store belongs to this thread; nobody reaches it another way. Not here: what is done with it.
"""

from collections.abc import Callable
from typing import TypeVar

from node.ledger.lane import Lane
from storage.content.store import ContentStore

T = TypeVar("T")


class ContentLane:
    """A content store, reached from the loop."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store
        self._lane = Lane()

    async def run(self, work: Callable[[ContentStore], T]) -> T:
        """The result of `work` on the store. Once begun it ends, even if the caller is cancelled."""
        return await self._lane.run(lambda: work(self._store))
