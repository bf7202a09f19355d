"""What the API is given by the node. Everything here was made elsewhere; the API owns nothing but its thread.

In the API's thread are used: `ledger.open_view`, single look-ups of the mempool, the signature memory, and
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
from node.ledger import Committed, Ledger
from node.mempool import Mempool
from node.metrics import Metrics
from node.signatures import SignatureMemory
from p2p.peers import PeerManager


@dataclass(frozen=True, slots=True)
class Published:
    """A folder that this node hosts from now on."""

    datum: Hash
    files_hash: Hash
    """What the listing says of the files' names and sizes."""
    root: Hash
    size_bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class LocalDatum:
    """How much of a datum is on this disk."""

    datum: Hash
    size_bytes: int
    chunks: int
    chunks_held: int
    folder: Path | None
    """Where it is hosted in place."""


@dataclass(frozen=True, slots=True)
class LocalContent:
    """The content store of this node."""

    quota_bytes: int
    used_bytes: int
    datums: tuple[LocalDatum, ...]


@dataclass(frozen=True, slots=True)
class DownloadOrder:
    """A session that a wallet opened, for this node to fetch its datum with."""

    session: Hash
    voucher_secret: Hash


class OrderRefused(Exception):
    """A download can not be begun; says why."""


@dataclass(frozen=True, slots=True)
class HostProgress:
    """One host of a download; `failure` says why it is not used any more."""

    host: Address
    chunks: int
    paid: int
    failure: str


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """A download of this node, under way or over."""

    job: str
    session: Hash
    datum: Hash
    state: str
    """`running`, `complete` or `failed`."""
    failure: str
    bytes_total: int
    bytes_held: int
    bytes_per_second: int
    paid: int
    hosts: tuple[HostProgress, ...]


class Content(Protocol):
    """What the node does with content on behalf of its operator. Errors are those of the content store."""

    async def publish(self, path: Path) -> Published:
        """Host the file or folder at `path` where it lies."""
        ...

    async def list_datums(self) -> LocalContent:
        """What is here."""
        ...

    async def begin_download(self, order: DownloadOrder) -> DownloadProgress:
        """Start fetching; the same session again gives the same job. Raises OrderRefused."""
        ...

    async def get_download(self, job: str) -> DownloadProgress | None:
        """How far a download is."""
        ...

    async def drop(self, datum: Hash) -> None:
        """Forget a datum and delete the store's own bytes of it."""
        ...


class Pool(Protocol):
    """The door of the mempool: `node.pool_gossip.PoolGossip`."""

    async def submit(self, batch: list[bytes]) -> list[tuple[Hash, InvalidTransaction | None]]:
        """Per transaction its id and the refusal, if any."""
        ...


class SyncState(Protocol):
    """How far behind the node is: `node.replica.sync.Sync`."""

    @property
    def is_syncing(self) -> bool:
        """Whether it is catching up."""

    @property
    def target(self) -> Height:
        """The height it goes for."""


@dataclass(frozen=True)
class ApiServices:
    """The parts of the node that the API shows and steers."""

    spec: ChainSpec
    ledger: Ledger
    mempool: Mempool
    pool: Pool
    signatures: SignatureMemory
    sync: SyncState
    peers: PeerManager
    clock: Clock
    metrics: Metrics
    watch_blocks: Callable[[Callable[[Committed], None]], None]
    """Has a function called, in the node's loop, for every block that becomes final."""
    account: Address | None
    """The account this node validates and hosts for."""
    token: str
    """What control routes ask for."""
    version: str
    describe_signing: Callable[[], tuple[str, str]] = lambda: ("observing", "")
    """Whether its consensus key is used now, and why not."""
    content: Content | None = None
    """None on a node without a content store."""
