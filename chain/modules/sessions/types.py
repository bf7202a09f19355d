"""Sessions: parameters, records, storage, events and errors."""

from typing import Annotated

from msgspec import Meta

from chain.errors import DispatchError
from chain.module import Module
from chain.modules import balances
from chain.primitives.codec import Record
from chain.primitives.types import Address, Amount, Epoch, Hash, Height, Ppm, PublicKey, Uint, Uint32
from chain.state import StorageMap, StorageValue

MODULE = Module("sessions", index=10)
POT = balances.compute_pot("sessions")

HOSTS_MAX = 32
ALLOTMENTS_ENDED_PER_BLOCK_MAX = 2048
"""The cost of ending sessions grows with their allotments, so these are bounded. The bound is more than a
block that is half full of `open_session` adds; while more are opened, the base fee rises.
"""


class Parameters(Record):
    """The price of a GiB, its split, and the periods of a session."""

    price_per_gib: Amount
    """At least 1: free downloads would have no bound."""
    host_ppm: Ppm
    lockers_ppm: Ppm
    """The rest, after host and lockers, is burned."""
    settle_min: Amount
    """Least amount of a settlement, which pays no fee but burns a part. About the price of 1 MiB."""
    settle_blocks: Uint32
    """Blocks in which hosts may still settle after a session was closed or has expired. One era."""
    lifetime_blocks_max: Uint32


class Session(Record):
    """An open session. At height `ends_at` at the latest it ends, and the rest of the deposit returns."""

    payer: Address
    datum: Hash
    voucher_key: PublicKey
    price_per_gib: Amount
    expires_at: Height
    ends_at: Height
    unreleased: Uint32
    """Hosts that have not released their allotment."""
    is_closing: bool = False
    bytes: Uint = 0
    amount: Amount = 0


class Allotment(Record):
    """A host's part of a session: the most it can be paid, and the bytes and amount settled so far."""

    limit: Amount
    bytes: Uint = 0
    amount: Amount = 0
    settled_in: Epoch | None = None
    is_released: bool = False
    """Whether the host has said that it claims nothing more."""


class Parties(Record):
    """The hosts of a session, in the order of accounts."""

    hosts: Annotated[tuple[Address, ...], Meta(max_length=HOSTS_MAX)]


class Traffic(Record):
    """Settled bytes that an account has served and downloaded, and the amounts earned and paid.

    For display only; the counters stop at their maximum.
    """

    bytes_served: Uint = 0
    income: Amount = 0
    bytes_downloaded: Uint = 0
    spent: Amount = 0


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
SESSIONS = StorageMap(MODULE.index, 1, Session)
ALLOTMENTS = StorageMap(MODULE.index, 2, Allotment)
"""(host, session): a host's node finds its own without reading those of others."""
ENDINGS = StorageMap(MODULE.index, 3, bool)
"""(height, session)."""
COUNTERS = StorageMap(MODULE.index, 4, int)
"""Number of sessions that an account has ever opened."""
BURNED = StorageMap(MODULE.index, 5, int)
"""(epoch, host) -> base units burned by settlements for the host."""
TRAFFIC = StorageMap(MODULE.index, 6, Traffic)
PARTIES = StorageMap(MODULE.index, 7, Parties)


@MODULE.event(1)
class SessionOpened(Record):
    """`deposit` is locked for downloading the datum at `price_per_gib`."""

    session: Hash
    payer: Address
    datum: Hash
    price_per_gib: Amount
    deposit: Amount
    expires_at: Height


@MODULE.event(2)
class Settled(Record):
    """Newly settled: `amount` for `bytes` at `price_per_gib`, split into income, lockers and burned."""

    session: Hash
    host: Address
    payer: Address
    datum: Hash
    bytes: Uint
    amount: Amount
    price_per_gib: Amount
    income: Amount
    to_lockers: Amount
    burned: Amount


@MODULE.event(3)
class SessionClosing(Record):
    """The payer closed the session; hosts may settle in blocks below `ends_at`."""

    session: Hash
    ends_at: Height


@MODULE.event(4)
class SessionEnded(Record):
    """The session is over: `paid` in total for `bytes`, `refunded` to the payer."""

    session: Hash
    payer: Address
    bytes: Uint
    paid: Amount
    refunded: Amount


@MODULE.event(5)
class AllotmentReleased(Record):
    """The host claims nothing more in the session, which ends when `unreleased` reaches 0."""

    session: Hash
    host: Address
    unreleased: Uint32


@MODULE.error(1)
class NotMember(DispatchError):
    """Only members may open a session; join first."""


@MODULE.error(2)
class NotHosting(DispatchError):
    """One of the hosts does not hold the datum now."""


@MODULE.error(3)
class PriceAboveLimit(DispatchError):
    """The price of a GiB is above what the payer accepts."""


@MODULE.error(4)
class InvalidAllotments(DispatchError):
    """A session names 1-32 different hosts, each with at least one base unit."""


@MODULE.error(5)
class InvalidExpiry(DispatchError):
    """The expiry of a session must lie in the future, but not too far ahead."""


@MODULE.error(6)
class NoSuchSession(DispatchError):
    """The session does not exist, or is over."""


@MODULE.error(7)
class NotPayer(DispatchError):
    """Only the account that opened a session may close it."""


@MODULE.error(8)
class AlreadyClosing(DispatchError):
    """The session is closed already, or has expired."""


@MODULE.error(9)
class OtherNetwork(DispatchError):
    """The voucher was signed for another network."""


@MODULE.error(10)
class NotAllotted(DispatchError):
    """The session has no allotment for this host."""


@MODULE.error(11)
class WrongAmount(DispatchError):
    """The amount of a voucher must be the price of its bytes, rounded up."""


@MODULE.error(12)
class Overdraft(DispatchError):
    """The voucher promises more than the host's allotment."""


@MODULE.error(13)
class NotHigher(DispatchError):
    """A voucher for as many or more bytes is settled already."""


@MODULE.error(14)
class SettledInEpoch(DispatchError):
    """A host settles once per epoch and session, until the session is closing or expired."""


@MODULE.error(15)
class BadVoucherSignature(DispatchError):
    """The voucher is not signed by the session's key."""


@MODULE.error(16)
class BadVoucherKey(DispatchError):
    """The voucher key is not an Ed25519 public key."""


@MODULE.error(17)
class SettlementTooSmall(DispatchError):
    """The voucher adds less than `settle_min`; the host may settle it with its release."""


@MODULE.error(18)
class StillRunning(DispatchError):
    """An allotment is released only after the session was closed or has expired."""


@MODULE.error(19)
class AlreadyReleased(DispatchError):
    """The host has released its allotment, so it can claim nothing more."""


@MODULE.error(20)
class NotTheHost(DispatchError):
    """A release is signed by the host's account, or by the key of its registered peer id."""


@MODULE.error(21)
class NothingToRelease(DispatchError):
    """A release names at least one session."""
