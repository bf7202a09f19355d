"""Hosting: parameters, records, storage, events and errors."""

from typing import Annotated, NamedTuple

from msgspec import Meta

from chain.errors import DispatchError
from chain.module import Module
from chain.modules.hosting.leaf_row import LeafRow
from chain.primitives.codec import Record
from chain.primitives.types import Address, Amount, Epoch, Era, Hash, PeerId, Ppm, Uint, Uint32
from chain.state import StorageMap, StorageValue

MODULE = Module("hosting", index=8)

CHANGES_MAX = 256
SUBSET_DATUMS_MAX = 4096
"""Bounds a leaf row to 160 KiB of state."""
ADDRESSES_MAX = 8
TAKEN_APART_PER_BLOCK_MAX = 256
"""Holdings of hosts that have left, over all such hosts."""

NetworkAddress = Annotated[str, Meta(min_length=1, max_length=128)]
Label = Annotated[str, Meta(max_length=128)]
NetworkAddresses = Annotated[tuple[NetworkAddress, ...], Meta(max_length=ADDRESSES_MAX)]
DatumIds = Annotated[tuple[Hash, ...], Meta(max_length=CHANGES_MAX)]


class Parameters(Record):
    """Delays and the price of a registered byte."""

    pledge_eras: Uint32
    """First part of a pledge: the hosting pay of so many eras, by what a GiB earned lately."""
    pledge_per_gib_min: Amount
    """Floor of the first part."""
    pledge_step_ppm: Ppm
    """Largest change of the first part in an era."""
    pledge_supply_ppm: Ppm
    """Second part: the datum's share of all registered bytes, of this share of the supply."""
    pledge_bytes_min: Uint
    """So many registered bytes are counted at least."""
    delay_epochs: Uint32
    drop_interval_epochs: Uint32
    subset_datums_max: Uint32


class Host(Record):
    """A host: the identity and addresses of its node, and the sums over its counted holdings."""

    peer_id: PeerId
    addresses: NetworkAddresses
    capacity: Uint
    """Declared, bytes per second."""
    since_era: Era
    bytes: Uint = 0
    datums: Uint32 = 0
    pledged: Amount = 0
    """The pledges of all counted holdings."""
    proven_eras: Uint32 = 0
    """Ever; kept by `possession`."""
    network: Label = ""
    """Of the first address, see `networks`: hosts in one network are one copy."""
    network_since: Epoch = 0
    """The epoch in which the host came to `network`."""


class Holding(Record):
    """A host's registration of a datum, in effect in epochs [from_epoch, until_epoch)."""

    root: Hash
    size_bytes: Uint
    from_epoch: Epoch
    from_proven_eras: Uint32
    """Of the host, when it was registered: tenure is what was added since."""
    pledge: Amount
    """Own bond behind it, frozen when it was registered."""
    until_epoch: Epoch | None = None


class SubsetEntry(NamedTuple):
    """A datum that a host holds in some epoch."""

    datum: Hash
    size_bytes: int
    root: Hash
    from_epoch: Epoch
    from_proven_eras: int


class SubsetTotals(Record):
    """Sums over the datums that a host holds from `from_epoch` on."""

    datums: Uint32
    bytes: Uint
    leaves: Uint
    from_epoch: Epoch = 0


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
HOSTS = StorageMap(MODULE.index, 1, Host)
HOLDINGS = StorageMap(MODULE.index, 2, Holding)
"""(host, datum)."""
HOLDERS = StorageMap(MODULE.index, 3, bool)
"""(datum, host) -> True, for every holding that counts in the totals."""
ENDINGS = StorageMap(MODULE.index, 4, bool)
"""(height, host, datum): in this block an ended holding leaves the totals (True), or is deleted (False)."""
CHANGES = StorageMap(MODULE.index, 5, bool)
"""(height, host, datum) -> True: in this block the datum enters or leaves the next epoch's row."""
SUBSET_TOTALS = StorageMap(MODULE.index, 6, SubsetTotals)
"""Host -> sums over its holdings in effect; only for hosts that have one."""
LEAF_ROWS = StorageMap(MODULE.index, 7, LeafRow)
"""(host, from epoch) -> its leaf row; never empty."""
LEAVING = StorageMap(MODULE.index, 8, int)
"""Host -> the epoch from which none of its entries in HOLDINGS is in effect."""
PREPARED = StorageMap(MODULE.index, 9, SubsetTotals)
"""Host -> its totals of the next epoch; only if they differ from the current ones."""

PLEDGE_PER_GIB = StorageValue(MODULE.index, 10, int)
"""First part of a pledge for a GiB."""
REGISTERED_BYTES = StorageValue(MODULE.index, 11, int)
"""Of all hosts."""

NO_TOTALS = SubsetTotals(0, 0, 0)


@MODULE.event(1)
class HostRegistered(Record):
    """An account became a host, or changed its identity, addresses or capacity."""

    host: Address
    peer_id: PeerId
    addresses: NetworkAddresses
    capacity: Uint


@MODULE.event(2)
class HoldingRegistered(Record):
    """The host holds the datum from `from_epoch` on; `committed` is the bond behind all its bytes."""

    host: Address
    datum: Hash
    size_bytes: Uint
    from_epoch: Epoch
    pledge: Amount
    committed: Amount


@MODULE.event(3)
class HoldingDropped(Record):
    """The host no longer holds the datum from epoch `until_epoch` on."""

    host: Address
    datum: Hash
    until_epoch: Epoch


@MODULE.event(4)
class SubsetDropped(Record):
    """The host no longer holds any datum from epoch `until_epoch` on."""

    host: Address
    until_epoch: Epoch


@MODULE.error(1)
class NotHost(DispatchError):
    """The account has not registered as a host."""


@MODULE.error(2)
class AlreadyHeld(DispatchError):
    """The host has registered the datum already, or dropped it too recently."""


@MODULE.error(3)
class NotHeld(DispatchError):
    """The host has not registered this datum, or has dropped it already."""


@MODULE.error(4)
class UncoveredBytes(DispatchError):
    """The host's own bond is too small for the bytes it would have registered; bond more first."""


@MODULE.error(5)
class TooManyDatums(DispatchError):
    """The host would hold more datums than one host may register."""


@MODULE.error(6)
class NothingToChange(DispatchError):
    """The call names no datum, or names one twice."""


@MODULE.error(7)
class Excluded(DispatchError):
    """A tombstoned account cannot host."""


@MODULE.error(8)
class StillLeaving(DispatchError):
    """The host was unregistered as a whole, and its old holdings are still being removed."""
