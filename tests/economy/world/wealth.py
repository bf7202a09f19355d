"""What an account owns, wherever it lies."""

from chain.modules import balances, escrow, lockers, membership, staking
from chain.modules.catalogue.types import DATUMS, SPONSORSHIPS
from chain.modules.staking.types import (
    DELEGATIONS,
    UNBONDING_DELEGATIONS,
    UNBONDING_POOLS,
    WAITING_DELEGATIONS,
)
from chain.primitives.types import HASH_BYTES, Address
from chain.state import StateReader


def compute_wealth(state: StateReader, who: Address) -> int:
    """Base units of an account: free, staked, unbonding, withheld, delegated, locked, bonded for data."""
    ledger, joined = staking.get_ledger(state, who), membership.get_membership(state, who)
    return (
        balances.get_balance(state, who)
        + ledger.active
        + sum(chunk.amount for chunk in ledger.unlocking)
        + escrow.get_withheld(state, who)
        + _get_delegated(state, who)
        + sum(lock.amount + lock.accrued - lock.claimed for _, lock in lockers.list_locks(state, who))
        + (0 if joined is None else joined.locked)
        + sum(datum.bond for _, datum in DATUMS.items(state) if datum.lister == who)
        + sum(bond.amount for key, bond in SPONSORSHIPS.items(state) if key[HASH_BYTES:] == who)
    )


def _get_delegated(state: StateReader, who: Address) -> int:
    total = sum(staking.get_delegation(state, who, host) for host, _ in DELEGATIONS.items(state, who))
    total += sum(amount for _, amount in WAITING_DELEGATIONS.items(state, who))
    for key, entry in UNBONDING_DELEGATIONS.items(state, who):
        pool = UNBONDING_POOLS.get(state, key[-HASH_BYTES:], entry.era)
        total += 0 if pool is None else staking.ledger.compute_value(pool, entry.shares)
    return total
