"""Arguments and results of downloads: jobs, limits, progress, results; data only.

DownloadError
├── BadListing      the manifest with the datum's id breaks a rule, or has another root or size than the job
└── HostFailed      one host has no more to give, with the reason; caught, and told in the result

Errors of the own disk (QuotaExceeded, DiskFull, ...) pass as they are.
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
    """No host can help: there is no acceptable manifest with this id, root and size."""


class HostFailed(DownloadError):
    """This host has no more to give."""

    def __init__(self, outcome: "Outcome", reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


class Outcome(Enum):
    """The state of a host in a download, or how it ended."""

    WAITING = "waiting"
    SERVING = "serving"
    DONE = "done"
    ALLOTMENT_SPENT = "allotment spent"
    NOTHING_TO_GIVE = "nothing to give"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    BUSY = "busy"
    STALLED = "stalled"
    NOT_DELIVERED = "did not deliver"
    LIED = "lied"


@dataclass(frozen=True, slots=True)
class SessionHost:
    """A host of the session: its addresses and the most it may be paid, in base units."""

    account: Address
    addresses: tuple[str, ...]
    limit: Amount


@dataclass(frozen=True, slots=True)
class DownloadJob:
    """What to fetch, from which hosts, and the key that signs vouchers. `root` and `size_bytes` come
    from the catalogue.
    """

    session: Hash
    opened_at: Height
    datum: Hash
    root: Hash
    size_bytes: int
    price_per_gib: Amount
    voucher_key: KeyPair
    hosts: tuple[SessionHost, ...]
    paths: tuple[str, ...] = ()
    """Files and folders of the datum to fetch; all of it if none is named."""

    @property
    def chunk_count(self) -> int:
        """Number of chunks of the datum."""
        return compute_chunk_count(self.size_bytes)


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """Times, counts and rate that bound a download."""

    requests_per_host_max: int = 8
    """Twice what is paid ahead, so that a host always has the next request when a voucher comes."""
    attempts_per_host_max: int = 5
    attempt_pause_seconds: float = 0.5
    """Before the second attempt; the third waits twice as long, and so on."""
    answer_seconds_max: float = 15.0
    stall_seconds_max: float = 10.0
    takeover_seconds: float = 1.0
    """How long an idle host leaves the last chunks to the hosts that were asked for them."""
    unconfirmed_seconds: float = 5.0
    """Until a chunk is asked for again that a host does not sell, and the buyer's chain knows no reason."""
    closing_seconds_max: float = 3.0
    bytes_per_second_max: int | None = None


@dataclass(frozen=True, slots=True)
class HostReport:
    """What came from a host in this download, what it was promised in the session (base units), and its
    state.
    """

    account: Address
    outcome: Outcome
    reason: str
    chunks: int
    bytes: int
    paid: Amount
    paid_bytes: int
    """Bytes that `paid` is the price of."""
    lost_bytes: int
    """Bytes that were paid and did not come."""
    lost: Amount
    """Their price."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is. `bytes_done` includes bytes held at the beginning, `bytes_per_second` does
    not.
    """

    bytes_done: int
    bytes_total: int
    bytes_per_second: int
    seconds_left: int | None
    paid: Amount
    hosts: tuple[HostReport, ...]
    unsold_chunks: int
    """Missing chunks that no host sells now, because they are sampled."""
    unsold_seconds: int
    """Until the first of them is sold again."""


@dataclass(frozen=True, slots=True)
class DownloadResult:
    """The end: complete, or why each host failed. Verified chunks are in the store either way."""

    is_complete: bool
    chunks_missing: int
    paid: Amount
    hosts: tuple[HostReport, ...]


OnProgress = Callable[[Progress], None]
"""Called a few times a second and whenever a host's outcome changes; must return at once."""
