"""Validators: parameters, records, storage, events and errors."""

from chain.errors import DispatchError
from chain.module import Module
from chain.primitives.codec import Record
from chain.primitives.types import Address, Amount, Epoch, Era, Height, Ppm, PublicKey, Uint, Uint32
from chain.state import StorageMap, StorageValue
from chain.validator_set import ValidatorChange, ValidatorSet

MODULE = Module("validators", index=4)


class Parameters(Record):
    """What standing needs, and how many are elected."""

    bond_min: Amount
    power_unit: Amount
    """Base units of stake per unit of power."""
    validators_max: Uint32
    validators_min: Uint32
    commission_step_ppm: Ppm
    """Largest change of a commission, once per era."""


class Candidate(Record):
    """Somebody who stands for election; `commission_era` is when the commission last changed."""

    consensus_key: PublicKey
    commission_ppm: Ppm
    commission_era: Era
    is_chilled: bool = False


class Participation(Record):
    """What a validator did in an epoch: commits it could have signed, those it signed, blocks it proposed.

    `weight` is its power summed over the commits it signed while it was to be paid.
    """

    validator: Address
    due: Uint32 = 0
    signed: Uint32 = 0
    proposed: Uint32 = 0
    weight: Uint = 0


class Tally(Record):
    """Participation in one epoch, by address."""

    epoch: Epoch
    entries: tuple[Participation, ...]


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
CANDIDATES = StorageMap(MODULE.index, 1, Candidate)
KEYS = StorageMap(MODULE.index, 2, bytes)
"""Consensus key -> the account that first stood with it."""
PREVIOUS = StorageValue(MODULE.index, 3, ValidatorSet)
CURRENT = StorageValue(MODULE.index, 4, ValidatorSet)
NEXT = StorageValue(MODULE.index, 5, ValidatorSet)
TARGET = StorageValue(MODULE.index, 6, tuple[ValidatorChange, ...])
ELECTED_POWER = StorageValue(MODULE.index, 7, int)
"""Total power of TARGET after the last election; removals may take a third of it."""
UNPAID = StorageValue(MODULE.index, 8, tuple[Address, ...])
"""Members that only stay because too few others are left."""
TALLY = StorageValue(MODULE.index, 9, Tally)
HISTORY = StorageMap(MODULE.index, 10, ValidatorSet)
"""First height -> members from there on; priorities in it mean nothing."""
CHANGES = StorageValue(MODULE.index, 11, tuple[Height, ...])
"""The keys of HISTORY, ascending."""
EPOCH_ENDS = StorageMap(MODULE.index, 12, int)
"""Epoch -> time of its last block, as long as evidence of that epoch is accepted."""


@MODULE.event(1)
class CandidateRegistered(Record):
    """An account stands for election, or stands again, or with another key."""

    validator: Address
    consensus_key: PublicKey
    commission_ppm: Ppm


@MODULE.event(2)
class Chilled(Record):
    """An account stands no more from the next election on."""

    validator: Address


@MODULE.event(3)
class CommissionChanged(Record):
    """The share that a validator keeps of what its delegators earn."""

    validator: Address
    commission_ppm: Ppm


@MODULE.event(4)
class Elected(Record):
    """The membership at which NEXT will arrive, and who of it stays unpaid for want of others."""

    era: Era
    candidates: Uint32
    power: Uint
    validators: tuple[tuple[Address, Uint], ...]
    unpaid: tuple[Address, ...]


@MODULE.event(5)
class Removed(Record):
    """A validator loses its power before the next election."""

    validator: Address


@MODULE.event(6)
class RemovalDeferred(Record):
    """A validator that should go stays unpaid until the next election: too little power would be left."""

    validator: Address


@MODULE.error(1)
class BondTooSmall(DispatchError):
    """Standing for election needs a larger bond of one's own."""


@MODULE.error(2)
class UnusableKey(DispatchError):
    """The consensus key is no Ed25519 key of the prime-order subgroup."""


@MODULE.error(3)
class KeyTaken(DispatchError):
    """The consensus key belongs to another account."""


@MODULE.error(4)
class CommissionOutOfBounds(DispatchError):
    """A commission is at most everything, and changes by one step per era."""


@MODULE.error(5)
class NotCandidate(DispatchError):
    """The account does not stand for election."""
