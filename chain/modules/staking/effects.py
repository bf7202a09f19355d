"""Staking: the functions for other modules: commit, reward, slash, fine, jail, unjail, tombstone."""

from typing import NamedTuple

from chain.module import Context
from chain.modules import balances, escrow
from chain.modules.staking.ledger import (
    compute_era_liable,
    get_ledger,
    get_parameters,
    get_pool,
    get_standing,
    set_ledger,
    set_pool,
)
from chain.modules.staking.types import (
    NEW_STANDING,
    POOLS,
    POT,
    REPAIR_POT,
    STANDINGS,
    UNBONDING_POOLS,
    VALIDATOR_POT,
    DelegatorsRewarded,
    InsufficientBond,
    Jailed,
    Slashed,
    Tombstoned,
    Unjailed,
)
from chain.primitives.codec import replace
from chain.primitives.fixed_point import mul_ppm
from chain.primitives.types import Address, Amount, Epoch, Era, Height, Ppm
from chain.state import Overlay


def set_commitment(ctx: Context, who: Address, amount: Amount) -> None:
    """Set the bond that registered bytes need; raises InsufficientBond if it exceeds the bond."""
    ledger = get_ledger(ctx.state, who)
    if amount > ledger.committed and amount > ledger.active:
        raise InsufficientBond(f"needs {amount}, has {ledger.active}")
    set_ledger(ctx.state, who, replace(ledger, committed=amount))


def reward_delegators(ctx: Context, host: Address, amount: Amount, source: Address | None = None) -> Amount:
    """Add to the pool of `host` from `source` (None: minted); does nothing and returns 0 if it is empty."""
    pool = get_pool(ctx.state, host)
    if amount == 0 or pool.shares == 0:
        return 0
    if source is None:
        balances.mint(ctx, POT, amount)
    else:
        balances.transfer(ctx, source, POT, amount)
    set_pool(POOLS, ctx.state, replace(pool, amount=pool.amount + amount), host)
    ctx.emit(DelegatorsRewarded(host, amount))
    return amount


def slash(
    ctx: Context, who: Address, ppm: Ppm, offence_height: Height, reporter: Address | None, reason: str
) -> Slashed:
    """Take `ppm` of all stake and escrow that is liable for an offence at `offence_height`, and distribute
    it: delegators, who chose the validator, share its equivocation.

    Each part rounds down. The returned record is the event.
    """
    since = compute_era_liable(ctx.state, offence_height)
    bonded, unlocking = _slash_ledger(ctx.state, who, ppm, since)
    delegated, leaving = _slash_pools(ctx.state, who, ppm, since)
    withheld = escrow.seize(ctx, who, ppm, POT)
    taken = _Taken(bonded, unlocking, delegated, leaving, withheld)
    return _distribute(ctx, who, ppm, offence_height, taken, reporter, reason)


def slash_own(ctx: Context, who: Address, ppm: Ppm, reason: str) -> Slashed:
    """Take `ppm` of a host's own stake and escrow: faults of hosting never touch delegators."""
    bonded, unlocking = _slash_ledger(ctx.state, who, ppm, compute_era_liable(ctx.state, ctx.height))
    withheld = escrow.seize(ctx, who, ppm, POT)
    taken = _Taken(bonded, unlocking, 0, 0, withheld)
    return _distribute(ctx, who, ppm, ctx.height, taken, None, reason)


def slash_amount(ctx: Context, who: Address, amount: Amount, reason: str) -> Slashed:
    """Take `amount` of a host's own stake, or all of it if it is less: the bond first, then what unbonds, the
    latest first.
    """
    ledger = get_ledger(ctx.state, who)
    bonded = min(amount, ledger.active)
    left, chunks = amount - bonded, []
    for chunk in reversed(ledger.unlocking):
        part = min(left, chunk.amount)
        left -= part
        if chunk.amount > part:
            chunks.append(replace(chunk, amount=chunk.amount - part))
    unlocking = amount - bonded - left
    kept = tuple(reversed(chunks))
    set_ledger(ctx.state, who, replace(ledger, active=ledger.active - bonded, unlocking=kept))
    return _distribute(ctx, who, 0, ctx.height, _Taken(bonded, unlocking, 0, 0, 0), None, reason)


class _Taken(NamedTuple):
    """What a slash took, by source."""

    bond: Amount
    unlocking: Amount
    delegated: Amount
    leaving: Amount
    escrow: Amount


def _distribute(
    ctx: Context,
    who: Address,
    ppm: Ppm,
    offence_height: Height,
    taken: _Taken,
    reporter: Address | None,
    reason: str,
) -> Slashed:
    """Pay out and burn what was taken. Emits Slashed."""
    repair, validators, reward, burned = _share_out(ctx, sum(taken), reporter)
    event = Slashed(
        host=who,
        reason=reason,
        ppm=ppm,
        offence_height=offence_height,
        bond=taken.bond,
        unlocking=taken.unlocking,
        delegated=taken.delegated,
        leaving=taken.leaving,
        escrow=taken.escrow,
        repair=repair,
        validators=validators,
        reporter=reward,
        burned=burned,
    )
    ctx.emit(event)
    return event


def jail(ctx: Context, who: Address, until: Epoch) -> None:
    """Jail a host, at least until the start of epoch `until`."""
    STANDINGS.set(ctx.state, replace(get_standing(ctx.state, who), is_jailed=True, jailed_until=until), who)
    ctx.emit(Jailed(who, until))


def unjail(ctx: Context, who: Address) -> None:
    """Let a host out of jail."""
    standing = replace(get_standing(ctx.state, who), is_jailed=False, jailed_until=0)
    if standing == NEW_STANDING:
        STANDINGS.delete(ctx.state, who)
    else:
        STANDINGS.set(ctx.state, standing, who)
    ctx.emit(Unjailed(who))


def tombstone(ctx: Context, who: Address) -> None:
    """Exclude a host forever."""
    STANDINGS.set(ctx.state, replace(get_standing(ctx.state, who), is_tombstoned=True), who)
    ctx.emit(Tombstoned(who))


def _slash_ledger(state: Overlay, who: Address, ppm: Ppm, since: Era) -> tuple[Amount, Amount]:
    """Take `ppm` of the bond and of each chunk that began to unbond in era `since` or later."""
    ledger = get_ledger(state, who)
    bonded = mul_ppm(ledger.active, ppm)
    chunks = tuple(
        replace(chunk, amount=chunk.amount - mul_ppm(chunk.amount, ppm)) if chunk.era >= since else chunk
        for chunk in ledger.unlocking
    )
    left = sum(chunk.amount for chunk in chunks)
    unlocking = sum(chunk.amount for chunk in ledger.unlocking) - left
    chunks = tuple(chunk for chunk in chunks if chunk.amount > 0)
    set_ledger(state, who, replace(ledger, active=ledger.active - bonded, unlocking=chunks))
    return bonded, unlocking


def _slash_pools(state: Overlay, host: Address, ppm: Ppm, since: Era) -> tuple[Amount, Amount]:
    """Take `ppm` of the delegations and of each unbonding pool of era `since` or later."""
    pool = get_pool(state, host)
    delegated = mul_ppm(pool.amount, ppm)
    set_pool(POOLS, state, replace(pool, amount=pool.amount - delegated), host)
    leaving = 0
    for era, unbonding in UNBONDING_POOLS.items(state, host):
        if int.from_bytes(era, "big") < since:
            continue
        taken = mul_ppm(unbonding.amount, ppm)
        set_pool(UNBONDING_POOLS, state, replace(unbonding, amount=unbonding.amount - taken), host, era)
        leaving += taken
    return delegated, leaving


def _share_out(
    ctx: Context, total: Amount, reporter: Address | None
) -> tuple[Amount, Amount, Amount, Amount]:
    """Pay repair, validators and reporter their shares of a slash, and burn the rest."""
    parameters = get_parameters(ctx.state)
    repair = mul_ppm(total, parameters.slash_repair_ppm)
    validators = mul_ppm(total, parameters.slash_validators_ppm)
    reward = 0 if reporter is None else mul_ppm(total, parameters.slash_reporter_ppm)
    burned = total - repair - validators - reward
    balances.transfer(ctx, POT, REPAIR_POT, repair)
    balances.transfer(ctx, POT, VALIDATOR_POT, validators)
    if reporter is not None:
        balances.transfer(ctx, POT, reporter, reward)
    balances.burn(ctx, POT, burned, balances.BurnCause.SLASHES)
    return repair, validators, reward, burned
