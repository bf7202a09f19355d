"""Staking: bonds and delegations, which leave only after the unbonding time, and what slashing takes.

A host bonds its own stake; others delegate to it. Delegations are shares of one pool per host, so rewards
and slashes reach any number of delegators in one write. Stake that leaves in era r still backs the power
that was elected for r, so it answers for every offence up to the first block of r+1 (which the old set
still decides), and unlocks `unbonding_eras` after the end of r. What answers for offences of one era leaves
as one: a chunk of the own ledger, a pool of shares for delegations.

Invariant: the pot holds exactly all bonds, chunks and pools.
Not here: who is elected (validators), what is an offence (offences).

Files: types, ledger (queries and writes), calls, effects (for other modules), genesis (and invariants).
"""

from chain.modules.staking.calls import Bond
from chain.modules.staking.effects import (
    fine,
    jail,
    reward_delegators,
    set_commitment,
    slash,
    tombstone,
    unjail,
)
from chain.modules.staking.genesis import GenesisConfig, build_genesis, check_invariants
from chain.modules.staking.ledger import (
    get_bond,
    get_delegation,
    get_ledger,
    get_liable_stake,
    get_parameters,
    get_pool,
    get_power,
    get_standing,
    is_jailed,
    is_tombstoned,
)
from chain.modules.staking.types import DELEGATIONS, LEDGERS, MODULE, STANDINGS, VALIDATOR_POT, HostTombstoned
