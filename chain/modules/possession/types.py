"""Possession: parameters, records, storage, events and errors."""

from typing import NamedTuple

from chain.errors import DispatchError
from chain.module import Module
from chain.modules import balances
from chain.modules.hosting import DatumLeaf
from chain.primitives.codec import Record
from chain.primitives.types import Address, Amount, Epoch, Era, Hash, Height, Ppm, Uint, Uint32
from chain.state import StorageMap, StorageValue

MODULE = Module("possession", index=9)
POT = balances.compute_pot("possession")

LEAVES_MAX = 16
WINDOW_EPOCHS_MAX = 1024

PROVEN, MISSED, COVERED = b"p", b"m", b"c"
"""The entries of a window: proven; missed; missed, but covered by a credit and not counted for jail."""


class Parameters(Record):
    """The parameters of possession proofs."""

    leaves_per_epoch: Uint32
    deadline_blocks: Uint32
    """Blocks at the start of an epoch in which proofs are accepted; fewer than the epoch has."""
    sale_pause_blocks: Uint32
    """Last blocks of an epoch in which hosts sell no chunk of a large datum; see `sales`."""
    unsold_bytes_min: Uint
    """Size from which a datum is large: below, all chunks are always sold."""
    window_epochs: Uint32
    pay_floor_ppm: Ppm
    """Share of proven epochs up to which the pay factor is 0."""
    credit_proven_epochs: Uint32
    """Proven epochs that earn one maintenance credit."""
    credits_max: Uint32
    mass_miss_ppm: Ppm
    """A miss of more than this share, by hosts and by leaves, is excused: no host is punished for it."""
    mass_miss_hosts_min: Uint32
    """Fewer missing hosts than this are never excused."""
    excused_epochs_max: Uint32
    """Per era."""
    era_proven_ppm: Ppm
    """Share of an era's epochs that a host must prove for the era to count as proven."""
    era_bytes_min: Uint
    """Bytes that it must hold, or all that were admitted when the era began, if that is less."""
    demand_fee: Amount
    """Burned if the host proves the leaves, returned to the member if not: nobody earns by a demand."""
    demands_per_host_max: Uint32
    """Per epoch."""


class Round(Record):
    """The challenge of an epoch: blocks below `deadline` accept proofs, the block at it judges."""

    epoch: Epoch
    deadline: Height


class History(Record):
    """The history of a host's proofs; `window` has one byte per epoch, the newest last."""

    window: bytes = b""
    credits: Uint32 = 0
    credit_progress: Uint32 = 0
    """Proven epochs since the last credit."""
    misses_in_row: Uint32 = 0
    last_proven: Epoch | None = None
    proven_in_era: Uint32 = 0
    """Epochs of this era that were judged proven."""
    is_era_proven: bool = False
    """Whether the last era counts as proven."""


class Demand(Record):
    """A member's paid demand for a proof of a datum."""

    member: Address
    fee: Amount


class FailedDemand(Record):
    """A demand that a host failed although it proved its epoch."""

    host: Address
    datum: Hash
    member: Address
    failures: Uint32
    """Failed demands for this datum by this host so far."""


class Excuses(Record):
    """How many epochs of an era were excused."""

    era: Era
    epochs: Uint32


class EraRule(Record):
    """What an era asks of a validator-host: to hold `bytes`; nothing, if that is 0."""

    bytes: Uint


class Judgement(Record):
    """The outcome of the last judged epoch, made at `height`."""

    epoch: Epoch
    height: Height
    hosts: Uint32
    missed: tuple[Address, ...]
    is_excused: bool
    failures: tuple[FailedDemand, ...]


class Duty(NamedTuple):
    """A proof that a host still owes in this epoch: of these leaves, in a block below the deadline."""

    epoch: Epoch
    deadline: Height
    demanded: Hash | None
    challenges: tuple[DatumLeaf, ...]


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
ROUND = StorageValue(MODULE.index, 1, Round)
HISTORIES = StorageMap(MODULE.index, 2, History)
DEMANDS = StorageMap(MODULE.index, 3, Demand)
"""(epoch, host, datum), until proven or judged."""
FAILED_DEMANDS = StorageMap(MODULE.index, 4, int)
"""(host, datum) -> demands failed."""
JUDGEMENT = StorageValue(MODULE.index, 5, Judgement)
EXCUSES = StorageValue(MODULE.index, 6, Excuses)
ERA_RULE = StorageValue(MODULE.index, 7, EraRule)
"""Of this era, by what was admitted when it began."""
LAST_ERA_RULE = StorageValue(MODULE.index, 8, EraRule)
"""Of the era before."""

NEW_HISTORY = History()


@MODULE.event(1)
class Proven(Record):
    """The host has proven possession for the epoch."""

    host: Address
    epoch: Epoch
    leaves: Uint32


@MODULE.event(2)
class Missed(Record):
    """The host did not show the leaves; `misses` of its window count for jail; its pay factor is now so much.

    `is_covered`: the miss does not count for jail, because of a credit or an excuse.
    """

    host: Address
    epoch: Epoch
    is_covered: bool
    credits: Uint32
    misses: Uint32
    pay_factor: Ppm


@MODULE.event(3)
class Judged(Record):
    """`missed` of `hosts` hosts missed the epoch, with `leaves_missed` leaves; excused: none is punished."""

    epoch: Epoch
    hosts: Uint32
    missed: Uint32
    leaves: Uint
    leaves_missed: Uint
    is_excused: bool


@MODULE.event(4)
class Demanded(Record):
    """A member paid for a proof of leaves of the datum in `epoch`."""

    member: Address
    host: Address
    datum: Hash
    epoch: Epoch
    fee: Amount


@MODULE.event(5)
class DemandProven(Record):
    """The host has proven the demanded leaves; the fee was burned."""

    host: Address
    datum: Hash
    epoch: Epoch
    fee: Amount


@MODULE.event(6)
class DemandFailed(Record):
    """The host failed its `failures`-th demand for the datum; the fee returned to the member."""

    host: Address
    datum: Hash
    epoch: Epoch
    member: Address
    fee: Amount
    failures: Uint32


@MODULE.event(7)
class DemandReturned(Record):
    """The demand lapsed: the host missed the epoch, or misses count for nobody; the fee returned."""

    host: Address
    datum: Hash
    epoch: Epoch
    member: Address
    fee: Amount


@MODULE.error(1)
class RoundClosed(DispatchError):
    """The proof is not for the current epoch, or comes after its deadline."""


@MODULE.error(2)
class NothingAsked(DispatchError):
    """The host owes no such proof: it holds nothing, no demand is open, or it has been given."""


@MODULE.error(3)
class WrongLeafCount(DispatchError):
    """The proof has another number of leaves than the host owes."""


@MODULE.error(4)
class ProofRejected(DispatchError):
    """A leaf does not verify against its datum's root at the position owed."""


@MODULE.error(5)
class AlreadyDemanded(DispatchError):
    """The datum is already demanded of this host for the next epoch."""


@MODULE.error(6)
class TooManyDemands(DispatchError):
    """The host has as many demands for the next epoch as are allowed."""
