"""Interfaces between the parts of a download: what all hosts share, and who signs a host's vouchers."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from chain.content import ChunkProof, Manifest
from chain.modules.sessions import SignedVoucher
from chain.primitives.types import Hash
from node.content.downloads.chunk_scheduler import ChunkScheduler
from node.content.downloads.types import DownloadJob, DownloadLimits
from p2p.network import Network
from p2p.switch.rate_limiter import RateLimiter


class DownloadContext(Protocol):
    """One download, as its host connections see it (`run.Download`)."""

    network: Network
    job: DownloadJob
    limits: DownloadLimits
    scheduler: ChunkScheduler[int]
    rate_limiter: RateLimiter | None

    async def require_manifest(self, fetch: Callable[[], Awaitable[Manifest]]) -> None:
        """Makes sure that the store knows the datum; `fetch` asks this host, if no other gave the
        manifest.
        """

    async def keep(self, chunk: int, content: bytes, proof: ChunkProof, node: Hash) -> None:
        """Queues a verified chunk for the disk; waits while the queue is full."""

    def on_progress(self) -> None:
        """Reports progress to the caller of `download`."""

    def on_work(self) -> None:
        """There may be work for idle hosts now: each stream looks at the scheduler again."""


class VoucherIssuer(Protocol):
    """Signs vouchers within one host's allotment (`host_connection.HostConnection`)."""

    download: DownloadContext
    index: int

    def can_pay(self, size_bytes: int) -> bool:
        """Whether the allotment covers this many bytes beyond those promised."""

    def build_voucher(self, size_bytes: int) -> SignedVoucher:
        """The next voucher, for this many more bytes; raises HostFailed beyond the allotment."""

    def count_unseen(self, size_bytes: int) -> None:
        """Notes bytes that are paid on the host's word; raises PeerFault above UNSEEN_BYTES_MAX."""

    def count_chunk(self, size_bytes: int) -> None:
        """Notes a verified chunk."""
