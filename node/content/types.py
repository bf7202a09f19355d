"""What an operator orders of a node's content, and what is answered; data only."""

from dataclasses import dataclass
from pathlib import Path

from chain.primitives.types import Address, Hash


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
