"""Interfaces between the parts of a download: what all hosts share, and what a stream needs of its host."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from chain.content import ChunkProof, Manifest
from chain.primitives.types import Hash
from node.content.downloads.chunk_scheduler import ChunkScheduler
from node.content.downloads.losses import LossBook
from node.content.downloads.payments import PaymentAccount, PaymentBook
from node.content.downloads.types import DownloadJob, DownloadLimits
from node.content.downloads.unsold import UnsoldChunks
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


class BuyerMemory(NamedTuple):
    """What a buyer remembers of payments and of hosts."""

    payments: PaymentBook
    losses: LossBook


class HostOfStream(Protocol):
    """The host that a stream belongs to (`host_connection.HostConnection`)."""

    download: DownloadContext
    index: int
    payments: PaymentAccount
    unsold: UnsoldChunks
    window_bytes_max: int
    """Most bytes that the host is paid ahead."""

    def count_chunk(self, size_bytes: int, *, is_again: bool) -> None:
        """Notes a verified chunk."""
