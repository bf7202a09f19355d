"""Validators: parameters, records, storage, events and errors."""

from chain.errors import DispatchError
from chain.module import Module
from chain.primitives.codec import Record
from chain.primitives.types import Address, Amount, Epoch, Era, Height, Ppm, PublicKey, Uint, Uint32
from chain.state import StorageMap, StorageValue
from chain.validator_set import ValidatorChange, ValidatorSet

MODULE = Module("validators", index=4)


class Parameters(Record):
    """The conditions of standing, and the number of elected validators."""

    bond_min: Amount
    power_unit: Amount
    """Base units of stake per unit of power."""
    validators_max: Uint32
    validators_min: Uint32
    commission_step_ppm: Ppm
    """Largest change of a commission, once per era."""


class Candidate(Record):
    """A candidate; `commission_era` is the era in which its commission last changed."""

    consensus_key: PublicKey
    commission_ppm: Ppm
    commission_era: Era
    is_chilled: bool = False


class Participation(Record):
    """A validator's part in an epoch: commits it could have signed, commits it signed, blocks it proposed.

    `weight` is its power, summed over the commits that it signed while it was paid.
    """

    validator: Address
    due: Uint32 = 0
    signed: Uint32 = 0
    proposed: Uint32 = 0
    weight: Uint = 0


class ElectedStake(Record):
    """The stake with which a validator was elected: its part and that of its delegators share its pay."""

    bond: Amount
    delegated: Amount


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
"""Total power of TARGET after the last election; removals of jailed members may take a third of it."""
UNPAID = StorageValue(MODULE.index, 8, tuple[Address, ...])
"""Members that stay unpaid because too few candidates qualify."""
TALLY = StorageValue(MODULE.index, 9, Tally)
HISTORY = StorageMap(MODULE.index, 10, ValidatorSet)
"""First height -> the members from there on; priorities in it have no meaning."""
CHANGES = StorageValue(MODULE.index, 11, tuple[Height, ...])
"""The keys of HISTORY, ascending."""
EPOCH_ENDS = StorageMap(MODULE.index, 12, int)
"""Epoch -> time of its last block, while evidence of that epoch is accepted."""
ELECTED_STAKES = StorageMap(MODULE.index, 13, ElectedStake)
"""Validator -> stake at the last election."""


@MODULE.event(1)
class CandidateRegistered(Record):
    """An account stands for election, for the first time, again, or with another key."""

    validator: Address
    consensus_key: PublicKey
    commission_ppm: Ppm


@MODULE.event(2)
class Chilled(Record):
    """An account no longer stands, from the next election on."""

    validator: Address


@MODULE.event(3)
class CommissionChanged(Record):
    """The share of its delegators' rewards that a validator keeps has changed."""

    validator: Address
    commission_ppm: Ppm


@MODULE.event(4)
class Elected(Record):
    """The elected membership, and the members that stay unpaid because too few candidates qualified."""

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
    """A jailed or tombstoned validator stays, unpaid, until the next election: too little would be left."""

    validator: Address


@MODULE.error(1)
class BondTooSmall(DispatchError):
    """The own bond is smaller than a candidate needs."""


@MODULE.error(2)
class UnusableKey(DispatchError):
    """The consensus key is not an Ed25519 key of the prime-order subgroup."""


@MODULE.error(3)
class KeyTaken(DispatchError):
    """The consensus key belongs to another account."""


@MODULE.error(4)
class CommissionOutOfBounds(DispatchError):
    """A commission is at most 1000000 ppm, and changes by at most one step, once per era."""


@MODULE.error(5)
class NotCandidate(DispatchError):
    """The account does not stand for election."""


@MODULE.error(6)
class KeyNotProven(DispatchError):
    """The consensus key has not signed that this account stands with it."""
