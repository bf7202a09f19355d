"""Orders of the operator about content and the answers to them; data only."""

from dataclasses import dataclass
from pathlib import Path

from chain.primitives.types import Address, Hash


@dataclass(frozen=True, slots=True)
class Published:
    """A file or folder that this node has begun to host."""

    datum: Hash
    files_hash: Hash
    """Hash over the files' names and sizes, for the listing."""
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
    """The published path; None if the store keeps the bytes itself."""


@dataclass(frozen=True, slots=True)
class LocalContent:
    """Contents of this node's store, with its quota."""

    quota_bytes: int
    used_bytes: int
    datums: tuple[LocalDatum, ...]


@dataclass(frozen=True, slots=True)
class ChunkCheck:
    """What reading some chunks of a datum has found."""

    checked: int
    """Chunks that were to be here, and were read."""
    unreadable: tuple[int, ...]
    reason: str
    """Why, if all of them are; empty otherwise."""


@dataclass(frozen=True, slots=True)
class DownloadOrder:
    """An order to download a session's datum; the wallet that opened the session gives its voucher key."""

    session: Hash
    voucher_secret: Hash


class OrderRefused(Exception):
    """A download cannot begin; the message says why."""


@dataclass(frozen=True, slots=True)
class HostProgress:
    """One host of a download; `failure` says why it is no longer used. Amounts are in base units.

    `lost_bytes` were paid and did not come; `lost` is their price.
    """

    host: Address
    chunks: int
    bytes: int
    paid: int
    lost_bytes: int
    lost: int
    failure: str


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """A download of this node, running or ended. `paid` is in base units."""

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
    unsold_chunks: int = 0
    """Missing chunks that no host sells now (docs/spec/hosting.md, "Sampled chunks are not sold")."""
    unsold_seconds: int = 0
    """Until the first of them is sold again."""
