"""Possession: parameters, records, storage, events and errors."""

from typing import NamedTuple

from chain.errors import DispatchError
from chain.module import Module
from chain.modules import balances
from chain.modules.hosting import DatumLeaf
from chain.primitives.codec import Record
from chain.primitives.types import Address, Amount, Epoch, Hash, Height, Ppm, Uint, Uint32
from chain.state import StorageMap, StorageValue

MODULE = Module("possession", index=9)
POT = balances.compute_pot("possession")

LEAVES_MAX = 16
WINDOW_EPOCHS_MAX = 1024

PROVEN, MISSED, COVERED = b"p", b"m", b"c"
"""What a window says of an epoch: proven; missed; missed, but for jail it does not count."""


class Parameters(Record):
    """How much is asked, until when, and what an answer is worth."""

    leaves_per_epoch: Uint32
    deadline_blocks: Uint32
    """Blocks of an epoch in which proofs are accepted, from its first on; fewer than the epoch has."""
    seed_delay_epochs: Uint32
    """Epoch e is sampled by the seed of e - this; below `delay_epochs` of hosting, see `build_genesis`."""
    window_epochs: Uint32
    pay_floor_ppm: Ppm
    """Share of proven epochs up to which the pay factor is 0."""
    credit_proven_epochs: Uint32
    """Proven epochs that earn one maintenance credit."""
    credits_max: Uint32
    mass_miss_ppm: Ppm
    """If those who miss are more than this share, by hosts and by leaves, it counts for nobody..."""
    mass_miss_hosts_min: Uint32
    """...unless they are fewer than this."""
    demand_fee: Amount
    demand_refund_factor: Uint32
    """A failed demand gives the member this many times the fee: once from the pot, the rest from the host."""
    demands_per_host_max: Uint32
    """In one epoch."""


class Round(Record):
    """The challenge of an epoch: proofs are accepted in blocks below the deadline, which judges."""

    epoch: Epoch
    deadline: Height


class History(Record):
    """How a host did, newest epoch last in the window, one byte for each."""

    window: bytes = b""
    credits: Uint32 = 0
    credit_progress: Uint32 = 0
    """Epochs proven since the last credit."""
    misses_in_row: Uint32 = 0
    last_proven: Epoch | None = None


class Demand(Record):
    """A member's wish to see a datum, paid."""

    member: Address
    fee: Amount


class FailedDemand(Record):
    """A demand that a host failed although it was there; `owed` is what it still has to give the member."""

    host: Address
    datum: Hash
    member: Address
    owed: Amount
    failures: Uint32
    """Of this datum by this host so far."""


class Judgement(Record):
    """The outcome of the last judged epoch, made at `height`."""

    epoch: Epoch
    height: Height
    hosts: Uint32
    missed: tuple[Address, ...]
    is_excused: bool
    failures: tuple[FailedDemand, ...]


class Duty(NamedTuple):
    """What a host can still do in this epoch: show these leaves in a block below the deadline."""

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

NEW_HISTORY = History()


@MODULE.event(1)
class Proven(Record):
    """The host has shown the leaves asked for in the epoch."""

    host: Address
    epoch: Epoch
    leaves: Uint32


@MODULE.event(2)
class Missed(Record):
    """The host has not; `misses` of its window count for jail, and this is what its pay factor is now."""

    host: Address
    epoch: Epoch
    is_covered: bool
    credits: Uint32
    misses: Uint32
    pay_factor: Ppm


@MODULE.event(3)
class Judged(Record):
    """`missed` of `hosts` hosts missed the epoch, with so many leaves; excused: it counts for nobody."""

    epoch: Epoch
    hosts: Uint32
    missed: Uint32
    leaves: Uint
    leaves_missed: Uint
    is_excused: bool


@MODULE.event(4)
class Demanded(Record):
    """A member paid to see leaves of the datum in `epoch`."""

    member: Address
    host: Address
    datum: Hash
    epoch: Epoch
    fee: Amount


@MODULE.event(5)
class DemandProven(Record):
    """The host has shown them and got the fee."""

    host: Address
    datum: Hash
    epoch: Epoch
    fee: Amount


@MODULE.event(6)
class DemandFailed(Record):
    """The host has not, for the so-manieth time; the fee returned, and the host owes so much more."""

    host: Address
    datum: Hash
    epoch: Epoch
    member: Address
    fee: Amount
    owed: Amount
    failures: Uint32


@MODULE.event(7)
class DemandReturned(Record):
    """It came to nothing (the host was not there, or the epoch counts for nobody); the fee returned."""

    host: Address
    datum: Hash
    epoch: Epoch
    member: Address
    fee: Amount


@MODULE.error(1)
class RoundClosed(DispatchError):
    """Proofs are for the current epoch, before its deadline."""


@MODULE.error(2)
class NothingAsked(DispatchError):
    """Nothing is asked: the host holds nothing, nobody demanded the datum, or it has been shown."""


@MODULE.error(3)
class WrongLeafCount(DispatchError):
    """A proof shows exactly the leaves asked for, in their order."""


@MODULE.error(4)
class ProofRejected(DispatchError):
    """A leaf does not lead to its datum's root at the place asked for."""


@MODULE.error(5)
class AlreadyDemanded(DispatchError):
    """The datum is demanded of this host for the next epoch."""


@MODULE.error(6)
class TooManyDemands(DispatchError):
    """As much as allowed is demanded of this host for the next epoch."""
