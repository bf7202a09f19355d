"""The scrub: reads all content of this node again and again, at a bounded rate.

A disk may return other bytes than were written, long after. Every read verifies, so a damaged chunk is never
served; but without the scrub it would be found only when a proof of possession needs it. What the scrub finds
is marked as missing and reported. Bringing the chunk back is the operator's: the datum is fetched again.
"""

from functools import partial

import structlog
import trio

from chain.content import CHUNK_BYTES
from chain.primitives.types import Hash
from node.content.lane import ContentLane
from storage.content.errors import UnknownDatum
from storage.content.store import ContentStore
from storage.errors import StorageError

_log = structlog.get_logger("scrub")

BATCH_CHUNKS = 4
"""1 MiB: the store's thread is kept a few milliseconds at a time."""
PASS_SECONDS_MIN = 3_600.0
"""A small store need not be read all the time."""


class Scrubber:
    """Reads one range of chunks after the other; any thread may read its counts."""

    def __init__(self, content: ContentLane, bytes_per_second: int) -> None:
        """With 0 bytes per second nothing is read."""
        self.content = content
        self._bytes_per_second = bytes_per_second
        self.bytes_read = 0
        """What was gone through, missing chunks included."""
        self.chunks_damaged = 0
        """How many chunks were found damaged since the node started."""
        self.passes = 0
        """How often everything was gone through."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Pass after pass, until cancelled."""
        task_status.started()
        while self._bytes_per_second:
            next_pass = trio.current_time() + PASS_SECONDS_MIN
            for datum in await self._list_datums():
                await self._scrub(datum)
            self.passes += 1
            await trio.sleep_until(next_pass)

    async def _list_datums(self) -> list[Hash]:
        try:
            return await self.content.run(ContentStore.datums)
        except StorageError as error:
            _log.error("content_not_scrubbed", reason=str(error))
            return []

    async def _scrub(self, datum: Hash) -> None:
        first = 0
        while True:
            try:
                count, damaged = await self.content.run(partial(_scrub_batch, datum, first))
            except UnknownDatum:  # removed meanwhile
                return
            except StorageError as error:
                _log.warning("datum_not_scrubbed", datum=datum, reason=str(error))
                return
            if damaged:
                self.chunks_damaged += len(damaged)
                _log.error("chunks_damaged", datum=datum.hex(), chunks=damaged, do="fetch the datum again")
            if not count:
                return
            first += count
            self.bytes_read += count * CHUNK_BYTES
            await trio.sleep(count * CHUNK_BYTES / self._bytes_per_second)


def _scrub_batch(datum: Hash, first: int, store: ContentStore) -> tuple[int, tuple[int, ...]]:
    """In the store's thread: how many chunks there were from `first` on, and the damaged ones of them."""
    count = min(BATCH_CHUNKS, store.get_chunk_count(datum) - first)
    return count, store.scrub(datum, first, count)
