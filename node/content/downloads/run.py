"""Downloading a datum from several hosts at once into a content store, paying by vouchers.

A library: it needs a network identity, a store and a job, and no node or chain of its own. What was verified
stays in the store, so that a download that ended for whatever reason goes on where it was.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import trio

from chain.content import CHUNK_BYTES, ChunkProof, Manifest
from chain.primitives.types import Hash
from node.content.downloads.chunk_scheduler import ChunkScheduler
from node.content.downloads.host_connection import HostConnection
from node.content.downloads.rate import RateMeter
from node.content.downloads.types import (
    DownloadError,
    DownloadJob,
    DownloadLimits,
    DownloadResult,
    OnProgress,
    Outcome,
    Progress,
)
from node.content.lane import ContentLane
from p2p.errors import get_first_failure
from p2p.network import Network
from p2p.switch.rate_limiter import RateLimiter
from storage.content.store import ContentStore
from storage.errors import StorageError

WRITES_WAITING_MAX = 32
"""8 MiB of verified chunks may wait for the disk."""
SHOW_SECONDS = 0.1
"""Progress is shown no more often than this, unless a host's outcome changed."""


async def download(
    network: Network,
    content: ContentLane,
    job: DownloadJob,
    progress: OnProgress = lambda _: None,
    limits: DownloadLimits | None = None,
) -> DownloadResult:
    """Fetches what is missing of the job's datum; the result says what each host did.

    Raises BadListing, and what the own disk refuses: QuotaExceeded, DiskFull, DiskFailed.
    """
    held = await content.run(lambda store: _find_held(store, job))
    return await Download(network, content, job, progress, limits or DownloadLimits(), held).run()


def _find_held(store: ContentStore, job: DownloadJob) -> int | None:
    """The chunks that are here already; None if the store does not know the datum yet."""
    if store.get_manifest(job.datum) is None:
        return None
    return int.from_bytes(store.get_bitmap(job.datum), "little")


class _Write(NamedTuple):
    """A verified chunk on its way to the disk."""

    chunk: int
    content: bytes
    proof: ChunkProof
    node: Hash


def _write_batch(datum: Hash, batch: list[_Write], store: ContentStore) -> None:
    for one in batch:
        store.write_chunk(datum, one.chunk, one.content, one.proof, one.node)


class Download:
    """One run; what its suppliers share."""

    def __init__(
        self,
        network: Network,
        content: ContentLane,
        job: DownloadJob,
        progress: OnProgress,
        limits: DownloadLimits,
        held: int | None,
    ) -> None:
        self.network, self.content, self.job, self.limits = network, content, job, limits
        self.board: ChunkScheduler[int] = ChunkScheduler(job.chunk_count, held or 0)
        rate = limits.bytes_per_second_max
        self.cap = RateLimiter(rate, CHUNK_BYTES) if rate else None
        self._progress = progress
        self._suppliers = [HostConnection(self, number, seat) for number, seat in enumerate(job.hosts)]
        self._is_known = held is not None
        self._knowing = trio.Lock()
        self._meter = RateMeter(self._count_bytes())
        self._is_complete = trio.Event()
        self._writes_in, self._writes = trio.open_memory_channel[_Write](WRITES_WAITING_MAX)
        self._shown: list[Outcome] = []
        self._shown_at = 0.0

    async def run(self) -> DownloadResult:
        """Until all chunks are there, or no host is of any more use."""
        failure: BaseException | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write_all)
                async with self._writes_in:
                    await self._supply()
        except* (StorageError, DownloadError) as group:
            # Raised in this clause, Python before 3.11.4 would put it into a group again (gh-103590).
            failure = get_first_failure(group)
        if failure is not None:
            raise failure
        reports = tuple(supplier.report for supplier in self._suppliers)
        paid = sum(report.paid for report in reports)
        return DownloadResult(self.board.is_complete, self.board.missing_count, paid, reports)

    async def _supply(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end_when_complete, nursery.cancel_scope)
            async with trio.open_nursery() as suppliers:
                for supplier in self._suppliers:
                    suppliers.start_soon(supplier.run)
                self.on_change()
            nursery.cancel_scope.cancel()
        for supplier in self._suppliers:
            if self.board.is_complete and supplier.outcome in (Outcome.SERVING, Outcome.WAITING):
                supplier.outcome = Outcome.DONE

    async def _write_all(self) -> None:
        """Writes what was verified, in batches, and sees it on disk at the end.

        A cancelled download writes what it has too: it was paid for.
        """
        with trio.CancelScope(shield=True):
            async for first in self._writes:
                batch = [first]
                with suppress(trio.WouldBlock, trio.EndOfChannel):
                    while True:
                        batch.append(self._writes.receive_nowait())
                await self.content.run(partial(_write_batch, self.job.datum, batch))
            await self.content.run(lambda store: store.flush())

    async def _end_when_complete(self, scope: trio.CancelScope) -> None:
        """Those who serve may still deliver what is under way, and be paid; the others are let go at once."""
        await self._is_complete.wait()
        scope.deadline = trio.current_time() + self.limits.closing_seconds_max
        for supplier in self._suppliers:
            if supplier.conversation is None and supplier.outcome is not Outcome.DONE:
                supplier.scope.cancel()
        self.on_chance()

    # What suppliers ask.

    async def require_manifest(self, fetch: Callable[[], Awaitable[Manifest]]) -> None:
        """Makes sure that the store knows the datum; one host is asked at a time."""
        async with self._knowing:
            if not self._is_known:
                manifest = await fetch()
                await self.content.run(lambda store: store.begin(manifest))
                self._is_known = True

    async def keep(self, chunk: int, content: bytes, proof: ChunkProof, node: Hash) -> None:
        """Has a verified chunk written; waits while the disk is behind."""
        await self._writes_in.send(_Write(chunk, content, proof, node))

    def on_chance(self) -> None:
        """Every conversation looks at the board again."""
        for supplier in self._suppliers:
            if supplier.conversation is not None:
                supplier.conversation.wake()

    def on_change(self) -> None:
        """Shows how far it is."""
        self._meter.count(self._count_bytes())
        if self.board.is_complete:
            self._is_complete.set()
        outcomes = [supplier.outcome for supplier in self._suppliers]
        is_news = self.board.is_complete or outcomes != self._shown
        if is_news or trio.current_time() - self._shown_at >= SHOW_SECONDS:
            self._shown, self._shown_at = outcomes, trio.current_time()
            self._progress(self._build_progress())

    def _count_bytes(self) -> int:
        """Bytes that are here; the last chunk is counted as if it were full until all are."""
        if self.board.is_complete:
            return self.job.size_bytes
        held = self.job.chunk_count - self.board.missing_count
        return min(held * CHUNK_BYTES, self.job.size_bytes - 1)

    def _build_progress(self) -> Progress:
        done, rate = self._count_bytes(), self._meter.bytes_per_second
        reports = tuple(supplier.report for supplier in self._suppliers)
        return Progress(
            bytes_done=done,
            bytes_total=self.job.size_bytes,
            chunks_done=self.job.chunk_count - self.board.missing_count,
            chunks_total=self.job.chunk_count,
            bytes_per_second=rate,
            seconds_left=(self.job.size_bytes - done) // rate if rate else None,
            paid=sum(report.paid for report in reports),
            hosts=reports,
        )
