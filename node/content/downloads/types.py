"""What a download is given and what it says: jobs, progress, results; data only.

DownloadError
├── BadListing      the manifest with the datum's id breaks a rule, or has another root or size than the job
└── HostFailed      one host is of no more use, and why; ends up in the result

What the own disk refuses (QuotaExceeded, DiskFull, ...) passes as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from chain.content import compute_chunk_count
from chain.primitives.keys import KeyPair
from chain.primitives.types import Address, Amount, Hash, Height


class DownloadError(Exception):
    """Expected of downloads."""


class BadListing(DownloadError):
    """No host can help: no acceptable manifest has this id, root and size."""


class HostFailed(DownloadError):
    """This host is of no use any more."""

    def __init__(self, outcome: "Outcome", reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


class Outcome(Enum):
    """How it ended, or stands, with a host."""

    WAITING = "waiting"
    SERVING = "serving"
    DONE = "done"
    ALLOTMENT_SPENT = "allotment spent"
    NOTHING_TO_GIVE = "nothing to give"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    BUSY = "busy"
    STALLED = "stalled"
    LIED = "lied"


@dataclass(frozen=True, slots=True)
class SessionHost:
    """A host of the session: where it is reached and the most it may be paid."""

    account: Address
    addresses: tuple[str, ...]
    limit: Amount


@dataclass(frozen=True, slots=True)
class DownloadJob:
    """What to fetch, from whom, and with which key to pay. `root` and `size_bytes` are the catalogue's."""

    session: Hash
    opened_at: Height
    datum: Hash
    root: Hash
    size_bytes: int
    price_per_gib: Amount
    voucher_key: KeyPair
    hosts: tuple[SessionHost, ...]

    @property
    def chunk_count(self) -> int:
        """Chunks in all."""
        return compute_chunk_count(self.size_bytes)


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """How patient and how greedy a download is."""

    requests_per_host_max: int = 8
    """Twice the credit, so that a host always has the next request when a voucher comes."""
    attempts_per_host_max: int = 5
    attempt_pause_seconds: float = 0.5
    """Before the second attempt; grows by itself with each."""
    answer_seconds_max: float = 15.0
    stall_seconds_max: float = 10.0
    takeover_seconds: float = 1.0
    """How long a host without work leaves the last chunks to those who were asked for them."""
    closing_seconds_max: float = 3.0
    bytes_per_second_max: int | None = None


@dataclass(frozen=True, slots=True)
class HostReport:
    """What came from a host, what it was promised, and how it stands with it."""

    account: Address
    outcome: Outcome
    reason: str
    chunks: int
    bytes: int
    paid: Amount


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is. `bytes_done` counts what was there at the beginning too, `rate` does not."""

    bytes_done: int
    bytes_total: int
    chunks_done: int
    chunks_total: int
    bytes_per_second: int
    seconds_left: int | None
    paid: Amount
    hosts: tuple[HostReport, ...]


@dataclass(frozen=True, slots=True)
class DownloadResult:
    """The end: complete, or why each host failed. What was verified is in the store either way."""

    is_complete: bool
    chunks_missing: int
    paid: Amount
    hosts: tuple[HostReport, ...]


OnProgress = Callable[[Progress], None]
"""Called some times a second and at every change of a host; returns at once."""
