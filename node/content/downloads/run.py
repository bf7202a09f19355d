"""Downloading a datum from several hosts at once into a content store, paying by vouchers.

A library: it needs a network identity, a store and a job, but no node and no chain. Verified chunks stay in
the store, so a download that ended for whatever reason resumes where it was.
"""

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import trio

from chain.content import CHUNK_BYTES, ChunkProof, Manifest
from chain.primitives.types import Hash
from node.content.downloads.chunk_scheduler import ChunkScheduler
from node.content.downloads.context import BuyerMemory
from node.content.downloads.host_connection import HostConnection
from node.content.downloads.losses import LossBook
from node.content.downloads.payments import PaymentBook
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
from node.content.sales import ChunkSales
from p2p.errors import get_first_failure
from p2p.network import Network
from p2p.switch.rate_limiter import RateLimiter
from storage.content.selection import compute_bitmap, select_files
from storage.content.store import ContentStore
from storage.errors import StorageError
from storage.kv import MemoryStore

WRITES_WAITING_MAX = 32
"""8 MiB of verified chunks may wait for the disk."""
SHOW_SECONDS = 0.1
"""Progress is reported no more often than this, unless a host's outcome changed."""


async def download(
    network: Network,
    content: ContentLane,
    job: DownloadJob,
    progress: OnProgress = lambda _: None,
    limits: DownloadLimits | None = None,
    memory: BuyerMemory | None = None,
    sales: ChunkSales | None = None,
) -> DownloadResult:
    """Fetches the missing chunks of the job's datum; the result says what each host did.

    A buyer that begins again without its `memory` believes its hosts about earlier payments. `sales` is what
    the buyer's own chain says is for sale; without it hosts are believed, for a while.

    Raises BadListing, UnknownFile, and errors of the own disk: QuotaExceeded, DiskFull, DiskFailed.
    """
    held = await content.run(lambda store: _look_at_store(store, job))
    memory = memory or BuyerMemory(PaymentBook(MemoryStore()), LossBook())
    return await Download(
        network, content, job, progress, limits or DownloadLimits(), held, memory, sales
    ).run()


class _Held(NamedTuple):
    """What the store has of the datum: its manifest, None if it does not know it, and chunks as a bitmap."""

    manifest: Manifest | None
    bitmap: int


def _look_at_store(store: ContentStore, job: DownloadJob) -> _Held:
    manifest = store.get_manifest(job.datum)
    return _Held(manifest, int.from_bytes(store.get_bitmap(job.datum), "little") if manifest else 0)


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
    """One download: its scheduler, its queue to the disk and its host connections."""

    def __init__(
        self,
        network: Network,
        content: ContentLane,
        job: DownloadJob,
        progress: OnProgress,
        limits: DownloadLimits,
        held: _Held,
        memory: BuyerMemory,
        sales: ChunkSales | None,
    ) -> None:
        self.network, self.content, self.job, self.limits = network, content, job, limits
        self.scheduler: ChunkScheduler[int] = ChunkScheduler(job.chunk_count, held.bitmap)
        rate = limits.bytes_per_second_max
        self.rate_limiter = RateLimiter(rate, CHUNK_BYTES) if rate else None
        self._progress = progress
        self._losses = memory.losses
        self._connections = [self._build_connection(index, memory, sales) for index in range(len(job.hosts))]
        self._is_known = held.manifest is not None
        if held.manifest is not None:
            self._restrict(held.manifest)
        self._manifest_lock = trio.Lock()
        self._meter = RateMeter(self._count_bytes())
        self._is_complete = trio.Event()
        self._writes_in, self._writes = trio.open_memory_channel[_Write](WRITES_WAITING_MAX)
        self._shown: list[Outcome] = []
        self._shown_at = 0.0

    def _build_connection(self, index: int, memory: BuyerMemory, sales: ChunkSales | None) -> HostConnection:
        host = self.job.hosts[index]
        is_trusted = not memory.losses.get(host.account)
        return HostConnection(self, index, host, memory.payments, sales, is_trusted=is_trusted)

    async def run(self) -> DownloadResult:
        """Runs until no chunk is missing or no host has more to give."""
        failure: BaseException | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write_all)
                async with self._writes_in:
                    await self._run_connections()
        except* (StorageError, DownloadError) as group:
            # Raised after the clause: before Python 3.11.4 it would come out in a group (gh-103590).
            failure = get_first_failure(group)
        if failure is not None:
            raise failure
        await self._note_losses()
        reports = tuple(connection.report for connection in self._connections)
        paid = sum(report.paid for report in reports)
        return DownloadResult(self.scheduler.is_complete, self.scheduler.missing_count, paid, reports)

    async def _run_connections(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end_when_complete, nursery.cancel_scope)
            # Hosts that took pay and did not deliver are asked when the others have no more to give.
            for is_trusted in (True, False):
                chosen = [one for one in self._connections if one.is_trusted is is_trusted]
                if not self.scheduler.is_complete:
                    await self._run_group(chosen)
            nursery.cancel_scope.cancel()
        for connection in self._connections:
            if self.scheduler.is_complete and connection.outcome in (Outcome.SERVING, Outcome.WAITING):
                connection.outcome = Outcome.DONE

    async def _run_group(self, chosen: list[HostConnection]) -> None:
        async with trio.open_nursery() as connections:
            for connection in chosen:
                connections.start_soon(connection.run)
            self.on_progress()

    async def _note_losses(self) -> None:
        """Remembers what hosts did not deliver. Not after a cancellation, which is not their fault."""
        for connection in self._connections:
            report, lost_bytes = connection.report, connection.conclude()
            self._losses.note(report.account, lost_bytes, report.bytes)
        await trio.to_thread.run_sync(self._losses.save)

    async def _write_all(self) -> None:
        """Writes verified chunks in batches, and flushes at the end.

        A cancelled download writes its verified chunks too, since they are paid.
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
        """Hosts may still deliver what they were paid for; the others are cancelled at once."""
        await self._is_complete.wait()
        scope.deadline = trio.current_time() + self.limits.closing_seconds_max
        for connection in self._connections:
            is_idle = connection.stream is None and connection.outcome is not Outcome.DONE
            if is_idle and not connection.payments.lost_bytes:
                connection.scope.cancel()
        self.on_work()

    # For host connections (`context.DownloadContext`).

    async def require_manifest(self, fetch: Callable[[], Awaitable[Manifest]]) -> None:
        """Makes sure that the store knows the datum; asks one host at a time."""
        async with self._manifest_lock:
            if not self._is_known:
                manifest = await fetch()
                self._restrict(manifest)
                await self.content.run(lambda store: store.begin(manifest))
                self._is_known = True
                self.on_progress()

    def _restrict(self, manifest: Manifest) -> None:
        """Wants the files of the job alone; raises UnknownFile."""
        if self.job.paths:
            self.scheduler.restrict(compute_bitmap(select_files(manifest, self.job.paths)))

    async def keep(self, chunk: int, content: bytes, proof: ChunkProof, node: Hash) -> None:
        """Queues a verified chunk for the disk; waits while the queue is full.

        Without a wait there is no checkpoint, so that the caller counts the chunk before the disk has it.
        """
        write = _Write(chunk, content, proof, node)
        try:
            self._writes_in.send_nowait(write)
        except trio.WouldBlock:
            await self._writes_in.send(write)

    def on_work(self) -> None:
        """Makes every stream look at the scheduler again."""
        for connection in self._connections:
            if connection.stream is not None:
                connection.stream.wake()

    def on_progress(self) -> None:
        """Reports progress, at most every SHOW_SECONDS unless a host's outcome changed."""
        self._meter.count(self._count_bytes())
        if self.scheduler.is_complete:
            self._is_complete.set()
        outcomes = [connection.outcome for connection in self._connections]
        has_changed = self.scheduler.is_complete or outcomes != self._shown
        if has_changed or trio.current_time() - self._shown_at >= SHOW_SECONDS:
            self._shown, self._shown_at = outcomes, trio.current_time()
            self._progress(self._build_progress())

    def _count_bytes(self) -> int:
        """Held bytes; until the end the last chunk counts as a full one."""
        if self.scheduler.is_complete:
            return self._total_bytes
        held = self.scheduler.wanted_count - self.scheduler.missing_count
        return min(held * CHUNK_BYTES, self._total_bytes - 1)

    @property
    def _total_bytes(self) -> int:
        """Bytes of the wanted chunks, each counted as a full one where only some are wanted."""
        return min(self.scheduler.wanted_count * CHUNK_BYTES, self.job.size_bytes)

    def _build_progress(self) -> Progress:
        done, rate = self._count_bytes(), self._meter.bytes_per_second
        reports = tuple(connection.report for connection in self._connections)
        return Progress(
            bytes_done=done,
            bytes_total=self._total_bytes,
            bytes_per_second=rate,
            seconds_left=(self._total_bytes - done) // rate if rate else None,
            paid=sum(report.paid for report in reports),
            hosts=reports,
            unsold_chunks=self.scheduler.postponed_count,
            unsold_seconds=self._count_unsold_seconds(),
        )

    def _count_unsold_seconds(self) -> int:
        """Until a host may be asked for a chunk that none sells now; 0 if there is none."""
        if not self.scheduler.postponed_count:
            return 0
        return max(1, math.ceil(min(one.unsold.seconds_left for one in self._connections)))
