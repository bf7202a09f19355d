"""The parts of the node that the API uses. All are made elsewhere; the API owns only its thread.

In the API's thread are used: `ledger.view`, single look-ups of the mempool, the signature memory, and
plain attributes. The async functions and the peer manager belong to the node's loop and are reached by
`crossing.NodeLoop`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chain.errors import InvalidTransaction
from chain.genesis import ChainSpec
from chain.primitives.types import Address, Hash, Height
from node.clock import Clock
from node.content.types import ChunkCheck, DownloadOrder, DownloadProgress, LocalContent, Published
from node.ledger.ledger import CommittedBlock, LedgerReader
from node.ledger.signatures import SignatureMemory
from node.mempool.pool import Mempool
from node.metrics import Metrics
from p2p.peers.manager import PeerManager


class Content(Protocol):
    """What the node does with content on behalf of its operator. Errors are those of the content store."""

    async def publish(self, path: Path) -> Published:
        """Host the file or folder at `path` where it lies."""
        ...

    async def list_datums(self) -> LocalContent:
        """The datums in the store."""
        ...

    async def check_chunks(self, datum: Hash, first: int, count: int) -> ChunkCheck:
        """Reads the chunks of a range that are here; what fails is marked missing."""
        ...

    async def begin_download(self, order: DownloadOrder) -> DownloadProgress:
        """Start fetching; the same session again gives the same job. Raises OrderRefused."""
        ...

    async def get_download(self, job: str) -> DownloadProgress | None:
        """The progress of a download; None if there is no such job."""
        ...

    async def drop(self, datum: Hash) -> None:
        """Forget a datum and delete the store's own bytes of it."""
        ...


class Pool(Protocol):
    """Admits transactions to the mempool: `node.mempool.gossip.PoolGossip`."""

    async def submit(self, batch: list[bytes]) -> list[tuple[Hash, InvalidTransaction | None]]:
        """Per transaction its id and the refusal, if any."""
        ...


class SyncState(Protocol):
    """How far behind the node is: `node.replica.sync.sync.Sync`."""

    @property
    def is_syncing(self) -> bool:
        """Whether it is catching up."""

    @property
    def target(self) -> Height:
        """The height that it aims at."""


@dataclass(frozen=True)
class ApiServices:
    """The parts of the node that the API shows and steers."""

    spec: ChainSpec
    ledger: LedgerReader
    mempool: Mempool
    pool: Pool
    signatures: SignatureMemory
    sync: SyncState
    peers: PeerManager
    clock: Clock
    metrics: Metrics
    watch_blocks: Callable[[Callable[[CommittedBlock], None]], None]
    """Has a function called, in the node's loop, for every block that becomes final."""
    account: Address | None
    """The account this node validates and hosts for."""
    token: str
    """What control routes ask for."""
    version: str
    describe_signing: Callable[[], tuple[str, str]] = lambda: ("observing", "")
    """Whether its consensus key is used now, and why not."""
    count_damaged_chunks: Callable[[], int] = lambda: 0
    """How many chunks of content the scrub has found damaged since the node started."""
    content: Content | None = None
    """None on a node without a content store."""
