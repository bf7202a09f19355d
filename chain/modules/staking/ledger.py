"""Staking: reads and writes of bonds, delegations and standings."""

from chain.modules import system
from chain.modules.staking.types import (
    DELEGATIONS,
    FALLEN,
    LEDGERS,
    NEW_LEDGER,
    NEW_POOL,
    NEW_STANDING,
    PARAMETERS,
    POOLS,
    STANDINGS,
    UNBONDING_POOLS,
    WAITING_DELEGATIONS,
    DelegationClosed,
    Parameters,
    StakePool,
    StakingLedger,
    Standing,
)
from chain.primitives.fixed_point import mul_div
from chain.primitives.types import INTEGER_MAX, Address, Amount, Era, Height, Uint
from chain.state import KeyPart, Overlay, StateReader, StorageMap


def compute_shares_bought(pool: StakePool, amount: Amount) -> Uint:
    """Shares for `amount`, rounded down: one per base unit in an empty pool, none in a worthless one."""
    if pool.shares == 0:
        return amount
    return mul_div(amount, pool.shares, pool.amount) if pool.amount > 0 else 0


def compute_value(pool: StakePool, shares: Uint) -> Amount:
    """The value of `shares` of a pool, rounded down."""
    return mul_div(shares, pool.amount, pool.shares) if pool.shares > 0 else 0


def compute_unlock_era(parameters: Parameters, era: Era) -> Era:
    """The first era in which stake that begins to unbond in `era` is free."""
    return era + 1 + parameters.unbonding_eras


def compute_era_liable(state: StateReader, offence_height: Height) -> Era:
    """The era whose stake is liable for a height: the old set still decides the first block of an era."""
    return system.compute_era(system.get_parameters(state), max(offence_height - 1, 0))


def get_parameters(state: StateReader) -> Parameters:
    """The parameters of staking."""
    return PARAMETERS.require(state)


def get_ledger(state: StateReader, who: Address) -> StakingLedger:
    """The own stake of an account; empty for an account never seen."""
    return LEDGERS.get(state, who) or NEW_LEDGER


def get_bond(state: StateReader, who: Address) -> Amount:
    """The own stake that is not unbonding."""
    return get_ledger(state, who).active


def get_pool(state: StateReader, host: Address) -> StakePool:
    """The delegations to a host."""
    return POOLS.get(state, host) or NEW_POOL


def get_power(state: StateReader, who: Address) -> Amount:
    """The stake behind a host: its own bond and the delegations to it."""
    return get_bond(state, who) + get_pool(state, who).amount


def get_liable_stake(state: StateReader, who: Address, offence_height: Height) -> Amount:
    """All stake that is liable for an offence, including what has begun to unbond since."""
    since = compute_era_liable(state, offence_height)
    chunks = sum(chunk.amount for chunk in get_ledger(state, who).unlocking if chunk.era >= since)
    leaving = sum(
        pool.amount for era, pool in UNBONDING_POOLS.items(state, who) if int.from_bytes(era, "big") >= since
    )
    return get_power(state, who) + chunks + leaving


def get_shares(state: StateReader, who: Address, host: Address) -> Uint:
    """The shares of the host's pool that `who` owns."""
    return DELEGATIONS.get(state, who, host) or 0


def buy(pool: StakePool, amount: Amount) -> tuple[StakePool, Uint]:
    """The pool with `amount` added, and the shares bought; raises DelegationClosed for a worthless pool."""
    shares = compute_shares_bought(pool, amount)
    if shares == 0 or pool.shares + shares > INTEGER_MAX:
        raise DelegationClosed
    return StakePool(pool.amount + amount, pool.shares + shares), shares


def get_waiting_delegation(state: StateReader, who: Address, host: Address) -> Amount:
    """What `who` has delegated to `host` in this era, which joins its pool at the era's end."""
    return WAITING_DELEGATIONS.get(state, who, host) or 0


def get_delegation(state: StateReader, who: Address, host: Address) -> Amount:
    """The current value of what `who` has delegated to `host`."""
    return compute_value(get_pool(state, host), get_shares(state, who, host))


def get_standing(state: StateReader, who: Address) -> Standing:
    """Whether a host is in jail or tombstoned."""
    return STANDINGS.get(state, who) or NEW_STANDING


def is_jailed(state: StateReader, who: Address) -> bool:
    """Whether a host is in jail."""
    return get_standing(state, who).is_jailed


def is_tombstoned(state: StateReader, who: Address) -> bool:
    """Whether a host is tombstoned."""
    return get_standing(state, who).is_tombstoned


def list_fallen(state: StateReader) -> tuple[Address, ...]:
    """Hosts whose bond or pool became smaller in this block."""
    return tuple(who for who, _ in FALLEN.items(state))


def forget_fallen(state: Overlay) -> None:
    """Everything that follows from fallen bonds has been done."""
    for who in list_fallen(state):
        FALLEN.delete(state, who)


def set_ledger(state: Overlay, who: Address, ledger: StakingLedger) -> None:
    if ledger.active < get_bond(state, who):
        FALLEN.set(state, True, who)
    if ledger == NEW_LEDGER:
        LEDGERS.delete(state, who)
    else:
        LEDGERS.set(state, ledger, who)


def set_pool(pools: StorageMap[StakePool], state: Overlay, pool: StakePool, *key: KeyPart) -> None:
    if pools is POOLS and pool.amount < (pools.get(state, *key) or NEW_POOL).amount:
        FALLEN.set(state, True, *key)
    if pool.shares == 0:
        assert pool.amount == 0, "stake without an owner"
        pools.delete(state, *key)
    else:
        pools.set(state, pool, *key)


def set_shares(state: Overlay, shares: Uint, who: Address, host: Address) -> None:
    if shares == 0:
        DELEGATIONS.delete(state, who, host)
    else:
        DELEGATIONS.set(state, shares, who, host)
