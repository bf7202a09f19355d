"""The download manager: publishing, downloading and dropping datums, as the operator orders by the API.

A published folder is hosted where it lies. A download runs with a session that the operator's wallet opened:
the wallet hands over the session's voucher key, never the account's. Not here: transactions (listing,
registering and sessions are the wallet's).
"""

from dataclasses import replace
from pathlib import Path

import structlog
import trio

from chain.content import Manifest, compute_datum_id, compute_files_hash
from chain.modules import catalogue, hosting, sessions
from chain.primitives.keys import KeyPair
from chain.primitives.types import Hash
from node.content.downloads import (
    BuyerMemory,
    DownloadError,
    DownloadJob,
    DownloadLimits,
    DownloadResult,
    HostReport,
    Progress,
    SessionHost,
    download,
)
from node.content.lane import ContentLane
from node.content.private_files import check_public
from node.content.sales import ChunkSales
from node.content.types import (
    ChunkCheck,
    DownloadOrder,
    DownloadProgress,
    HostProgress,
    LocalContent,
    LocalDatum,
    OrderRefused,
    Published,
)
from node.ledger.ledger import Ledger
from p2p.network import Network
from storage.content.errors import SourceGone
from storage.content.store import ContentStore
from storage.errors import StorageError

_log = structlog.get_logger("content")

JOBS_MAX = 256


class DownloadManager:
    """Publishes, downloads and drops datums of this node."""

    def __init__(
        self,
        network: Network,
        ledger: Ledger,
        content: ContentLane,
        limits: DownloadLimits,
        memory: BuyerMemory,
    ) -> None:
        self._network = network
        self._ledger = ledger
        self._content = content
        self.limits = limits
        self._memory = memory
        self._sales = ChunkSales(ledger)
        self._jobs: dict[str, DownloadProgress] = {}
        self._orders, self._queue = trio.open_memory_channel[DownloadJob](JOBS_MAX)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs the downloads that were begun, all at the same time, until cancelled."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            async for job in self._queue:
                nursery.start_soon(self._fetch, job)

    # For the API.

    async def publish(self, path: Path) -> Published:
        """Hosts the file or folder at `path` where it lies; raises StorageError (`ContentStore.publish`).

        Raises PrivateFile before anything is read into the store.
        """
        manifest: Manifest = await self._content.run(lambda store: _publish(store, path))
        datum = compute_datum_id(manifest)
        _log.info("published", datum=datum.hex(), bytes=manifest.length, files=len(manifest.files))
        return Published(
            datum, compute_files_hash(manifest), manifest.root, manifest.length, len(manifest.files)
        )

    async def list_datums(self) -> LocalContent:
        """The datums of the store, with its quota."""
        return await self._content.run(_list_datums)

    async def check_chunks(self, datum: Hash, first: int, count: int) -> ChunkCheck:
        """Reads the chunks of a range that are here; what fails is marked missing. Raises UnknownDatum."""
        return await self._content.run(lambda store: _check_chunks(store, datum, first, count))

    async def begin_download(self, order: DownloadOrder) -> DownloadProgress:
        """Begins a download; the same session again returns the same job. Raises OrderRefused."""
        job = order.session.hex()
        known = self._jobs.get(job)
        if known is not None and known.state != "failed":
            return known
        plan = self._plan(order)
        self._forget_over()
        self._jobs.pop(job, None)
        while len(self._jobs) >= JOBS_MAX:
            self._forget_one()
        started = DownloadProgress(job, plan.session, plan.datum, "running", "", plan.size_bytes, 0, 0, 0, ())
        self._jobs[job] = started
        try:
            self._orders.send_nowait(plan)
        except trio.WouldBlock:
            raise OrderRefused(f"{JOBS_MAX} downloads are waiting") from None
        return started

    def _forget_over(self) -> None:
        """Deletes the payments of sessions that the chain has no more, which bounds what is kept."""
        payments, state = self._memory.payments, self._ledger.state
        known = payments.list_sessions()
        payments.forget([one for one in known if sessions.get_session(state, one) is None])

    def _forget_one(self) -> None:
        ended = [job for job, progress in self._jobs.items() if progress.state != "running"]
        if not ended:
            raise OrderRefused(f"{JOBS_MAX} downloads are running")
        del self._jobs[ended[0]]

    async def get_download(self, job: str) -> DownloadProgress | None:
        """The progress of a download; None if the job is unknown."""
        return self._jobs.get(job)

    async def drop(self, datum: Hash) -> None:
        """Removes a datum and deletes the store's own bytes of it; a published folder stays."""
        await self._content.run(lambda store: store.remove(datum))

    # Downloads.

    def _plan(self, order: DownloadOrder) -> DownloadJob:
        """The download of a session on chain; raises OrderRefused."""
        key, state = KeyPair(order.voucher_secret), self._ledger.state
        session = sessions.get_session(state, order.session)
        if session is None:
            raise OrderRefused("no such session, or it is over")
        if session.voucher_key != key.public_key:
            raise OrderRefused("the voucher secret is not this session's")
        datum = catalogue.get_datum(state, session.datum)
        if datum is None:
            raise OrderRefused("the datum is no longer in the catalogue")
        return DownloadJob(
            session=order.session,
            opened_at=self._ledger.height,
            datum=session.datum,
            root=datum.root,
            size_bytes=datum.size_bytes,
            price_per_gib=session.price_per_gib,
            voucher_key=key,
            hosts=self._list_hosts(order.session),
        )

    def _list_hosts(self, session_id: Hash) -> tuple[SessionHost, ...]:
        hosts = []
        for account, allotment in sessions.list_allotments(self._ledger.state, session_id):
            host = hosting.get_host(self._ledger.state, account)
            if host is not None and host.peer_id != self._network.peer_id:
                hosts.append(SessionHost(account, host.addresses, allotment.limit))
        return tuple(hosts)

    async def _fetch(self, job: DownloadJob) -> None:
        name = job.session.hex()

        def show(progress: Progress) -> None:
            self._jobs[name] = _build_progress(self._jobs[name], progress)

        try:
            result = await download(
                self._network, self._content, job, show, self.limits, self._memory, self._sales
            )
        except (DownloadError, StorageError) as error:
            self._end(name, "failed", f"{type(error).__name__}: {error}")
            return
        self._jobs[name] = replace(
            self._jobs[name], paid=result.paid, hosts=tuple(map(_build_host, result.hosts))
        )
        self._end(name, "complete" if result.is_complete else "failed", _explain(result))

    def _end(self, name: str, state: str, failure: str) -> None:
        self._jobs[name] = replace(
            self._jobs[name], state=state, failure=failure, unsold_chunks=0, unsold_seconds=0
        )
        _log.info("download_over", session=name, state=state, failure=failure)


def _explain(result: DownloadResult) -> str:
    if result.is_complete:
        return ""
    reasons = "; ".join(f"{report.account.hex()[:8]}: {report.reason}" for report in result.hosts)
    return f"{result.chunks_missing} chunks missing; {reasons}"


def _build_progress(before: DownloadProgress, progress: Progress) -> DownloadProgress:
    return replace(
        before,
        bytes_held=progress.bytes_done,
        bytes_per_second=progress.bytes_per_second,
        paid=progress.paid,
        hosts=tuple(map(_build_host, progress.hosts)),
        unsold_chunks=progress.unsold_chunks,
        unsold_seconds=progress.unsold_seconds,
    )


def _build_host(report: HostReport) -> HostProgress:
    return HostProgress(
        host=report.account,
        chunks=report.chunks,
        bytes=report.bytes,
        paid=report.paid,
        lost_bytes=report.lost_bytes,
        lost=report.lost,
        failure=report.reason,
    )


def _publish(store: ContentStore, path: Path) -> Manifest:
    check_public(path)
    return store.publish(path)


def _check_chunks(store: ContentStore, datum: Hash, first: int, count: int) -> ChunkCheck:
    bitmap = int.from_bytes(store.get_bitmap(datum), "little")
    held = tuple(chunk for chunk in range(first, first + count) if bitmap >> chunk & 1)
    try:
        return ChunkCheck(len(held), store.scrub(datum, first, count), "")
    except SourceGone as error:
        return ChunkCheck(len(held), held, str(error))


def _list_datums(store: ContentStore) -> LocalContent:
    usage = store.usage()
    return LocalContent(
        usage.quota_bytes,
        usage.used_bytes,
        tuple(
            LocalDatum(datum, status.length, status.chunk_count, status.held_count, status.folder)
            for datum in store.datums()
            if (status := store.get_status(datum)) is not None
        ),
    )
