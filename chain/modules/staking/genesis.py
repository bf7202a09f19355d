"""Staking: genesis and invariants."""

from chain.errors import InvalidChainSpec
from chain.module import Context
from chain.modules import balances
from chain.modules.staking.calls import Bond, bond
from chain.modules.staking.types import (
    DELEGATIONS,
    LEDGERS,
    PARAMETERS,
    POOLS,
    POT,
    UNBONDING_DELEGATIONS,
    UNBONDING_POOLS,
    WAITING_DELEGATIONS,
    Parameters,
)
from chain.primitives.codec import Record
from chain.primitives.types import HASH_BYTES, PPM, Address, Amount, Uint
from chain.state import StateReader


class GenesisConfig(Record):
    """(account, bond) at genesis, paid from genesis balances."""

    parameters: Parameters
    bonds: tuple[tuple[Address, Amount], ...] = ()


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters; bond by the same call as later."""
    parameters = config.parameters
    shares = parameters.slash_repair_ppm + parameters.slash_validators_ppm + parameters.slash_reporter_ppm
    if shares > PPM or parameters.unbonding_eras == 0 or parameters.delegation_min == 0:
        raise InvalidChainSpec("staking: slash shares at most 1000000 together, the other numbers at least 1")
    PARAMETERS.set(ctx.state, parameters)
    for who, amount in config.bonds:
        bond(ctx, who, Bond(amount))


def check_invariants(state: StateReader) -> None:
    """The pot holds exactly all bonds, chunks and pools; all shares of a pool have owners."""
    ledgers = [ledger for _, ledger in LEDGERS.items(state)]
    chunks = [chunk for ledger in ledgers for chunk in ledger.unlocking]
    pools = [pool for _, pool in (*POOLS.items(state), *UNBONDING_POOLS.items(state))]
    owed = sum(ledger.active for ledger in ledgers)
    owed += sum(amount for _, amount in WAITING_DELEGATIONS.items(state))
    owed += sum(chunk.amount for chunk in chunks) + sum(pool.amount for pool in pools)
    held = balances.get_balance(state, POT)
    assert held == owed, f"staking pot holds {held}, owes {owed}"
    _check_shares(state)


def _check_shares(state: StateReader) -> None:
    owned: dict[bytes, Uint] = {}
    for key, shares in DELEGATIONS.items(state):
        host = key[HASH_BYTES:]
        owned[host] = owned.get(host, 0) + shares
    assert owned == {host: pool.shares for host, pool in POOLS.items(state)}, "shares without an owner"
    leaving: dict[bytes, Uint] = {}
    for key, leaver in UNBONDING_DELEGATIONS.items(state):
        pool_key = key[-HASH_BYTES:] + leaver.era.to_bytes(8, "big")
        leaving[pool_key] = leaving.get(pool_key, 0) + leaver.shares
    assert leaving == {key: pool.shares for key, pool in UNBONDING_POOLS.items(state)}, (
        "unbonding shares without an owner"
    )
