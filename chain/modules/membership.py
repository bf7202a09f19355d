"""Membership: the gate that an account passes before it may download.

A member locks an amount, which it gets back some eras after it leaves, and pays a joining fee: part of it
goes to the fund of lockers, the rest is burned. Reading the chain needs no membership.

The design has two gates: a fixed gate with a dynamic download price (`fixed_gate`), and a fixed price with a
gate that costs more as members outnumber capacity (`fixed_price`). This program knows the first and refuses
a chain spec that asks for the other.

Invariant: the pot holds exactly what members and leavers have locked.
"""

from chain.errors import DispatchError, InvalidChainSpec
from chain.module import Context, Module
from chain.modules import balances, lockers
from chain.primitives.codec import Record, replace
from chain.primitives.types import Address, Amount, Era, Uint, Uint32
from chain.state import StateReader, StorageMap, StorageValue

MODULE = Module("membership", index=5)
POT = balances.compute_pot("membership")

FIXED_GATE = "fixed_gate"


class Parameters(Record):
    """The price of the gate."""

    gate: str
    """`fixed_gate`."""
    lock: Amount
    fee_lockers: Amount
    fee_burned: Amount
    unlocking_eras: Uint32


class Membership(Record):
    """The lock of a member and its first era; `unlocks_in` is set when the member leaves."""

    locked: Amount
    since_era: Era
    unlocks_in: Era | None = None


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
MEMBERSHIPS = StorageMap(MODULE.index, 1, Membership)
COUNT = StorageValue(MODULE.index, 2, int)


@MODULE.event(1)
class Joined(Record):
    """An account became a member."""

    account: Address
    locked: Amount
    pooled: Amount
    burned: Amount


@MODULE.event(2)
class Left(Record):
    """An account is no longer a member; its lock is free from era `unlocks_in` on."""

    account: Address
    locked: Amount
    unlocks_in: Era


@MODULE.event(3)
class LockWithdrawn(Record):
    """A former member got its lock back."""

    account: Address
    amount: Amount


@MODULE.error(1)
class AlreadyMember(DispatchError):
    """The account is a member."""


@MODULE.error(2)
class NotMember(DispatchError):
    """The account is no member."""


@MODULE.error(3)
class StillLocked(DispatchError):
    """The lock of an earlier membership has not unlocked yet, or must be withdrawn first."""


@MODULE.error(4)
class NothingLocked(DispatchError):
    """The account has not left, or has its lock back already."""


class Join(Record):
    """Become a member: lock the gate's amount and pay the joining fee."""


class Leave(Record):
    """Give up membership, to get the lock back later."""


class WithdrawLock(Record):
    """Get the lock back."""


@MODULE.call(1, Join, weight=80)
def join(ctx: Context, sender: Address, call: Join) -> None:
    """Membership begins at once. The lock of an earlier membership must be withdrawn first."""
    parameters = get_parameters(ctx.state)
    before = get_membership(ctx.state, sender)
    if before is not None:
        raise AlreadyMember if before.unlocks_in is None else StillLocked
    balances.transfer(ctx, sender, POT, parameters.lock)
    balances.transfer(ctx, sender, lockers.FUND, parameters.fee_lockers)
    balances.burn(ctx, sender, parameters.fee_burned, balances.BurnCause.JOINING)
    MEMBERSHIPS.set(ctx.state, Membership(parameters.lock, ctx.era), sender)
    COUNT.set(ctx.state, get_count(ctx.state) + 1)
    ctx.emit(Joined(sender, parameters.lock, parameters.fee_lockers, parameters.fee_burned))


@MODULE.call(2, Leave, weight=60)
def leave(ctx: Context, sender: Address, call: Leave) -> None:
    """Membership ends at once; the lock is free after `unlocking_eras` full eras."""
    membership = get_membership(ctx.state, sender)
    if membership is None or membership.unlocks_in is not None:
        raise NotMember
    unlocks_in = ctx.era + 1 + get_parameters(ctx.state).unlocking_eras
    MEMBERSHIPS.set(ctx.state, replace(membership, unlocks_in=unlocks_in), sender)
    COUNT.set(ctx.state, get_count(ctx.state) - 1)
    ctx.emit(Left(sender, membership.locked, unlocks_in))


@MODULE.call(3, WithdrawLock, weight=60)
def withdraw_lock(ctx: Context, sender: Address, call: WithdrawLock) -> None:
    """Pay the lock back to a former member, once it has unlocked."""
    membership = get_membership(ctx.state, sender)
    if membership is None or membership.unlocks_in is None:
        raise NothingLocked
    if ctx.era < membership.unlocks_in:
        raise StillLocked(f"until era {membership.unlocks_in}")
    MEMBERSHIPS.delete(ctx.state, sender)
    balances.transfer(ctx, POT, sender, membership.locked)
    ctx.emit(LockWithdrawn(sender, membership.locked))


class GenesisConfig(Record):
    """Members at genesis join by the same call, out of genesis balances."""

    parameters: Parameters
    members: tuple[Address, ...] = ()


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the gate; the first members join by the same call as later."""
    if config.parameters.gate != FIXED_GATE:
        raise InvalidChainSpec(f"membership: gate is {FIXED_GATE!r}; {config.parameters.gate!r} is not known")
    PARAMETERS.set(ctx.state, config.parameters)
    for who in config.members:
        join(ctx, who, Join())


def is_member(state: StateReader, who: Address) -> bool:
    """Whether an account may download."""
    membership = get_membership(state, who)
    return membership is not None and membership.unlocks_in is None


def get_membership(state: StateReader, who: Address) -> Membership | None:
    """The lock of an account, also after it has left."""
    return MEMBERSHIPS.get(state, who)


def get_count(state: StateReader) -> Uint:
    """The current number of members."""
    return COUNT.get(state) or 0


def get_parameters(state: StateReader) -> Parameters:
    """The price of the gate."""
    return PARAMETERS.require(state)


def check_invariants(state: StateReader) -> None:
    """The pot holds exactly all locks; the count is that of the members."""
    memberships = [membership for _, membership in MEMBERSHIPS.items(state)]
    assert balances.get_balance(state, POT) == sum(membership.locked for membership in memberships)
    assert get_count(state) == sum(membership.unlocks_in is None for membership in memberships)
