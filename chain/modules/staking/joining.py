"""Staking: at the end of an era, what was delegated in it joins the pools of its hosts."""

from chain.module import Context
from chain.modules import balances
from chain.modules.staking.ledger import (
    buy,
    get_bond,
    get_pool,
    get_shares,
    is_tombstoned,
    set_pool,
    set_shares,
)
from chain.modules.staking.types import (
    POOLS,
    POT,
    WAITING_DELEGATIONS,
    DelegationClosed,
    DelegationJoined,
    DelegationReturned,
)
from chain.primitives.types import HASH_BYTES, Address, Amount


def on_era_end(ctx: Context) -> None:
    """Runs after the era is paid and before the next one's election. Each entry was paid for by its call."""
    for key, amount in list(WAITING_DELEGATIONS.items(ctx.state)):
        WAITING_DELEGATIONS.delete(ctx.state, key)
        _join(ctx, key[:HASH_BYTES], key[HASH_BYTES:], amount)


def _join(ctx: Context, who: Address, host: Address, amount: Amount) -> None:
    """Buy shares at the pool's value now; a host that cannot be joined any more gets nothing."""
    try:
        if is_tombstoned(ctx.state, host) or get_bond(ctx.state, host) == 0:
            raise DelegationClosed
        pool, shares = buy(get_pool(ctx.state, host), amount)
    except DelegationClosed:
        balances.transfer(ctx, POT, who, amount)
        ctx.emit(DelegationReturned(who, host, amount))
        return
    set_pool(POOLS, ctx.state, pool, host)
    set_shares(ctx.state, get_shares(ctx.state, who, host) + shares, who, host)
    ctx.emit(DelegationJoined(who, host, amount, shares))
