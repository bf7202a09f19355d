"""Staking: the calls that bond, delegate, unbond and withdraw."""

from chain.module import Context
from chain.modules import balances
from chain.modules.staking.ledger import (
    buy,
    compute_unlock_era,
    compute_value,
    get_bond,
    get_ledger,
    get_parameters,
    get_pool,
    get_shares,
    get_waiting_delegation,
    is_tombstoned,
    set_ledger,
    set_pool,
    set_shares,
)
from chain.modules.staking.types import (
    MODULE,
    NEW_POOL,
    POOLS,
    POT,
    UNBONDING_DELEGATIONS,
    UNBONDING_POOLS,
    WAITING_DELEGATIONS,
    BondCommitted,
    Bonded,
    Delegated,
    DelegationClosed,
    DelegationTooSmall,
    HostTombstoned,
    NotBonded,
    NothingUnlocked,
    StakePool,
    Unbonded,
    UnbondingChunk,
    UnbondingDelegation,
    Undelegated,
    Withdrawn,
)
from chain.primitives.codec import Record, replace
from chain.primitives.fixed_point import div_up
from chain.primitives.types import HASH_BYTES, Address, Amount, Era

DELEGATIONS_WITHDRAWN_MAX = 16


class Bond(Record):
    """Put `amount` of the own balance at stake."""

    amount: Amount


class Unbond(Record):
    """Begin to take `amount` out of the own bond."""

    amount: Amount


class Withdraw(Record):
    """Get back stake that has unlocked: all own chunks, and the oldest delegations."""


class Delegate(Record):
    """Put `amount` at stake behind `host`."""

    host: Address
    amount: Amount


class Undelegate(Record):
    """Begin to take `amount` out of a delegation."""

    host: Address
    amount: Amount


@MODULE.call(1, Bond, weight=80)
def bond(ctx: Context, sender: Address, call: Bond) -> None:
    """Move `amount` from the free balance to the own bond."""
    if call.amount == 0:
        raise balances.ZeroAmount
    if is_tombstoned(ctx.state, sender):
        raise HostTombstoned
    balances.transfer(ctx, sender, POT, call.amount)
    ledger = get_ledger(ctx.state, sender)
    ledger = replace(ledger, active=ledger.active + call.amount)
    set_ledger(ctx.state, sender, ledger)
    ctx.emit(Bonded(sender, call.amount, ledger.active))


@MODULE.call(2, Unbond, weight=90)
def unbond(ctx: Context, sender: Address, call: Unbond) -> None:
    """Turn bond into a chunk. Unlocked chunks are paid out, so there is at most one per unbonding era."""
    ledger = get_ledger(ctx.state, sender)
    if call.amount == 0:
        raise balances.ZeroAmount
    if call.amount > ledger.active:
        raise NotBonded(f"has {ledger.active}")
    if ledger.active - call.amount < ledger.committed:
        raise BondCommitted(f"{ledger.committed} are committed")
    unlocks_in = compute_unlock_era(get_parameters(ctx.state), ctx.era)
    unlocking = _add_chunk(ledger.unlocking, UnbondingChunk(call.amount, ctx.era, unlocks_in))
    ledger = replace(ledger, active=ledger.active - call.amount, unlocking=unlocking)
    set_ledger(ctx.state, sender, ledger)
    ctx.emit(Unbonded(sender, call.amount, ledger.active, unlocks_in))
    _pay_out(ctx, sender, _unlock_chunks(ctx, sender))


@MODULE.call(3, Withdraw, weight=1_300)
def withdraw(ctx: Context, sender: Address, call: Withdraw) -> None:
    """Pay out every unlocked chunk and up to `DELEGATIONS_WITHDRAWN_MAX` unlocked delegations."""
    unlocked = _unlock_chunks(ctx, sender) + _unlock_delegations(ctx, sender)
    if unlocked == 0:
        raise NothingUnlocked
    _pay_out(ctx, sender, unlocked)


@MODULE.call(4, Delegate, weight=240)
def delegate(ctx: Context, sender: Address, call: Delegate) -> None:
    """Put `amount` behind the host from the next era on: until then it earns nothing and answers for nothing.

    So nobody takes a part of an era's pay with stake that was not elected.
    """
    if is_tombstoned(ctx.state, call.host):
        raise HostTombstoned
    if get_bond(ctx.state, call.host) == 0:
        raise DelegationClosed
    if call.amount < get_parameters(ctx.state).delegation_min:
        raise DelegationTooSmall
    buy(get_pool(ctx.state, call.host), call.amount)
    balances.transfer(ctx, sender, POT, call.amount)
    waiting = get_waiting_delegation(ctx.state, sender, call.host)
    WAITING_DELEGATIONS.set(ctx.state, waiting + call.amount, sender, call.host)
    ctx.emit(Delegated(sender, call.host, call.amount))


@MODULE.call(5, Undelegate, weight=240)
def undelegate(ctx: Context, sender: Address, call: Undelegate) -> None:
    """Sell shares worth `amount`, rounded up, and buy shares of the host's unbonding pool of this era."""
    pool, owned = get_pool(ctx.state, call.host), get_shares(ctx.state, sender, call.host)
    value = compute_value(pool, owned)
    if call.amount == 0:
        raise balances.ZeroAmount
    if call.amount > value:
        raise NotBonded(f"has {value}")
    rest = value - call.amount
    sold = owned if rest == 0 else div_up(call.amount * pool.shares, pool.amount)
    if rest > 0 and (rest < get_parameters(ctx.state).delegation_min or sold >= owned):
        raise DelegationTooSmall
    set_pool(POOLS, ctx.state, StakePool(pool.amount - call.amount, pool.shares - sold), call.host)
    set_shares(ctx.state, owned - sold, sender, call.host)
    unlocks_in = _add_unbonding(ctx, sender, call.host, call.amount)
    ctx.emit(Undelegated(sender, call.host, call.amount, unlocks_in))


def _add_chunk(chunks: tuple[UnbondingChunk, ...], chunk: UnbondingChunk) -> tuple[UnbondingChunk, ...]:
    """One chunk per era: stake that unbonds in one era is liable for the same offences."""
    if chunks and chunks[-1].era == chunk.era:
        last = chunks[-1]
        return (*chunks[:-1], replace(last, amount=last.amount + chunk.amount))
    return (*chunks, chunk)


def _unlock_chunks(ctx: Context, who: Address) -> Amount:
    ledger = get_ledger(ctx.state, who)
    waiting = tuple(chunk for chunk in ledger.unlocking if chunk.unlocks_in > ctx.era)
    set_ledger(ctx.state, who, replace(ledger, unlocking=waiting))
    return sum(chunk.amount for chunk in ledger.unlocking) - sum(chunk.amount for chunk in waiting)


def _add_unbonding(ctx: Context, who: Address, host: Address, amount: Amount) -> Era:
    pool, shares = buy(UNBONDING_POOLS.get(ctx.state, host, ctx.era) or NEW_POOL, amount)
    set_pool(UNBONDING_POOLS, ctx.state, pool, host, ctx.era)
    unlocks_in = compute_unlock_era(get_parameters(ctx.state), ctx.era)
    before = UNBONDING_DELEGATIONS.get(ctx.state, who, unlocks_in, host) or UnbondingDelegation(0, ctx.era)
    after = replace(before, shares=before.shares + shares)
    UNBONDING_DELEGATIONS.set(ctx.state, after, who, unlocks_in, host)
    return unlocks_in


def _unlock_delegations(ctx: Context, who: Address) -> Amount:
    unlocked = 0
    for count, (key, leaving) in enumerate(UNBONDING_DELEGATIONS.items(ctx.state, who)):
        unlocks_in, host = key[:-HASH_BYTES], key[-HASH_BYTES:]
        if count == DELEGATIONS_WITHDRAWN_MAX or int.from_bytes(unlocks_in, "big") > ctx.era:
            break
        pool = UNBONDING_POOLS.get(ctx.state, host, leaving.era) or NEW_POOL
        value = compute_value(pool, leaving.shares)
        rest = StakePool(pool.amount - value, pool.shares - leaving.shares)
        set_pool(UNBONDING_POOLS, ctx.state, rest, host, leaving.era)
        UNBONDING_DELEGATIONS.delete(ctx.state, who, key)
        unlocked += value
    return unlocked


def _pay_out(ctx: Context, who: Address, amount: Amount) -> None:
    if amount > 0:
        balances.transfer(ctx, POT, who, amount)
        ctx.emit(Withdrawn(who, amount))
