"""Staking: parameters, records, storage, events and errors."""

from chain.errors import DispatchError
from chain.module import Module
from chain.modules import balances
from chain.primitives.codec import Record
from chain.primitives.types import Address, Amount, Epoch, Era, Height, Ppm, Uint, Uint32
from chain.state import StorageMap, StorageValue

MODULE = Module("staking", index=3)
POT = balances.compute_pot("staking")
REPAIR_POT = balances.compute_pot("repair")
VALIDATOR_POT = balances.compute_pot("validator-pool")


class Parameters(Record):
    """The unbonding time, the least delegation, and the split of slashes."""

    unbonding_eras: Uint32
    delegation_min: Amount
    """Smallest delegation and smallest rest of one, so that rounding to whole shares never matters."""
    slash_repair_ppm: Ppm
    slash_validators_ppm: Ppm
    slash_reporter_ppm: Ppm
    """The rest of a slash is burned, with the reporter's share if nobody reported."""


class UnbondingChunk(Record):
    """Own stake that began to unbond in `era`."""

    amount: Amount
    era: Era
    unlocks_in: Era


class StakingLedger(Record):
    """Own stake of an account; its registered bytes need `committed` of `active`."""

    active: Amount = 0
    committed: Amount = 0
    unlocking: tuple[UnbondingChunk, ...] = ()


class StakePool(Record):
    """Delegated stake, owned by shares."""

    amount: Amount = 0
    shares: Uint = 0


class UnbondingDelegation(Record):
    """Shares of the pool of (host, era), which holds the delegations that left the host in that era."""

    shares: Uint
    era: Era


class Standing(Record):
    """Whether a host is in jail (until it asks to leave, not before epoch `jailed_until`) or tombstoned."""

    is_jailed: bool = False
    jailed_until: Epoch = 0
    is_tombstoned: bool = False


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
LEDGERS = StorageMap(MODULE.index, 1, StakingLedger)
POOLS = StorageMap(MODULE.index, 2, StakePool)
DELEGATIONS = StorageMap(MODULE.index, 3, int)
"""Shares by (delegator, host)."""
UNBONDING_POOLS = StorageMap(MODULE.index, 4, StakePool)
"""By (host, era in which the delegations began to unbond)."""
UNBONDING_DELEGATIONS = StorageMap(MODULE.index, 5, UnbondingDelegation)
"""By (delegator, era of unlocking, host), so that a scan finds first what unlocks first."""
STANDINGS = StorageMap(MODULE.index, 6, Standing)

FALLEN = StorageMap(MODULE.index, 7, bool)
"""Host -> True: its bond or its pool became smaller in this block; deleted at its end."""

WAITING_DELEGATIONS = StorageMap(MODULE.index, 8, int)
"""(delegator, host) -> base units that join the host's pool at the end of the era."""

NEW_LEDGER = StakingLedger()
NEW_POOL = StakePool()
NEW_STANDING = Standing()


@MODULE.event(1)
class Bonded(Record):
    """`amount` was added to the account's own bond."""

    account: Address
    amount: Amount
    active: Amount


@MODULE.event(2)
class Unbonded(Record):
    """`amount` of the account's own bond began to unbond."""

    account: Address
    amount: Amount
    active: Amount
    unlocks_in: Era


@MODULE.event(3)
class Withdrawn(Record):
    """`amount` of unlocked stake returned to the free balance."""

    account: Address
    amount: Amount


@MODULE.event(4)
class Delegated(Record):
    """`amount` waits to join the pool of `host` at the end of the era."""

    account: Address
    host: Address
    amount: Amount


@MODULE.event(5)
class Undelegated(Record):
    """`amount` of the account's delegation to `host` began to unbond."""

    account: Address
    host: Address
    amount: Amount
    unlocks_in: Era


@MODULE.event(6)
class Slashed(Record):
    """Stake was taken, from five sources (bond .. escrow), and paid out or burned.

    `ppm` of each source, or an amount that the offence names, if `ppm` is 0.
    """

    host: Address
    reason: str
    ppm: Ppm
    offence_height: Height
    bond: Amount
    unlocking: Amount
    delegated: Amount
    leaving: Amount
    escrow: Amount
    repair: Amount
    validators: Amount
    reporter: Amount
    burned: Amount


@MODULE.event(8)
class Jailed(Record):
    """`host` earns nothing and cannot be elected until it leaves jail, not before epoch `until`."""

    host: Address
    until: Epoch


@MODULE.event(9)
class Unjailed(Record):
    """`host` left jail."""

    host: Address


@MODULE.event(10)
class Tombstoned(Record):
    """`host` is excluded forever; its stake can only unbond."""

    host: Address


@MODULE.event(11)
class DelegatorsRewarded(Record):
    """The pool of `host` grew by `amount`."""

    host: Address
    amount: Amount


@MODULE.event(12)
class DelegationJoined(Record):
    """`amount` is `shares` of the pool of `host` from the next era on."""

    account: Address
    host: Address
    amount: Amount
    shares: Uint


@MODULE.event(13)
class DelegationReturned(Record):
    """`amount` is free again: at the end of the era `host` could not be joined."""

    account: Address
    host: Address
    amount: Amount


@MODULE.error(1)
class NotBonded(DispatchError):
    """The bond or delegation is smaller than the amount."""


@MODULE.error(2)
class BondCommitted(DispatchError):
    """Registered bytes need this part of the bond: drop data first."""


@MODULE.error(3)
class InsufficientBond(DispatchError):
    """The bond is smaller than what the registered bytes would need."""


@MODULE.error(4)
class NothingUnlocked(DispatchError):
    """No stake of the account has unlocked yet."""


@MODULE.error(5)
class DelegationTooSmall(DispatchError):
    """A delegation, or the rest of one, would be below `delegation_min` and not 0."""


@MODULE.error(6)
class DelegationClosed(DispatchError):
    """The host has no bond of its own, or its pool was slashed so far that shares are worth too little."""


@MODULE.error(7)
class HostTombstoned(DispatchError):
    """The host is tombstoned: its stake may only unbond."""
