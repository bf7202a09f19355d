"""What the hosts of one download have in common, and what a conversation asks of its host."""

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
    """One download, as its hosts see it (`run.Download`)."""

    network: Network
    job: DownloadJob
    limits: DownloadLimits
    board: ChunkScheduler[int]
    cap: RateLimiter | None

    async def require_manifest(self, fetch: Callable[[], Awaitable[Manifest]]) -> None:
        """Makes sure that the store knows the datum; `fetch` asks this host if nobody has yet."""

    async def keep(self, chunk: int, content: bytes, proof: ChunkProof, node: Hash) -> None:
        """Has a verified chunk written; waits while the disk is behind."""

    def on_change(self) -> None:
        """Something to show has changed."""

    def on_chance(self) -> None:
        """A host without work may find some on the board now."""


class VoucherIssuer(Protocol):
    """The host's part of the deposit (`supplier.Supplier`)."""

    shared: DownloadContext
    number: int

    def can_pay(self, size_bytes: int) -> bool:
        """Whether the allotment covers so many more bytes than were promised."""

    def build_voucher(self, size_bytes: int) -> SignedVoucher:
        """The next voucher, for so many more bytes; raises HostFailed beyond the allotment."""

    def count_unseen(self, size_bytes: int) -> None:
        """The host says that it sent a chunk, and is paid; raises PeerFault when that becomes too much."""

    def count_chunk(self, size_bytes: int) -> None:
        """A verified chunk came."""
