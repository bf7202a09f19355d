"""Staking: bonds and delegations, which are free only after the unbonding time, and slashes.

A host bonds its own stake; others delegate to it. Delegations are shares of one pool per host, so that one
write rewards or slashes any number of delegators. Stake that begins to unbond in era r still backs the power
that was elected for r. So it can be slashed for every offence up to the first block of r + 1 (which the old
set still decides), and unlocks `unbonding_eras` after the end of r. All stake that begins to unbond in one
era is liable for the same offences and is kept together: one chunk for an own bond, one pool of shares for
delegations.

Invariant: the pot holds exactly all bonds, chunks and pools.
Not here: elections (validators), what counts as an offence (offences).

Files: types, ledger (queries and writes), calls, effects (for other modules), genesis (and invariants).
"""

from chain.modules.staking.calls import Bond
from chain.modules.staking.effects import (
    jail,
    reward_delegators,
    set_commitment,
    slash,
    slash_amount,
    slash_own,
    tombstone,
    unjail,
)
from chain.modules.staking.genesis import GenesisConfig, build_genesis, check_invariants
from chain.modules.staking.joining import on_era_end
from chain.modules.staking.ledger import (
    forget_fallen,
    get_bond,
    get_delegation,
    get_ledger,
    get_liable_stake,
    get_parameters,
    get_pool,
    get_power,
    get_standing,
    get_waiting_delegation,
    is_jailed,
    is_tombstoned,
    list_fallen,
)
from chain.modules.staking.types import (
    DELEGATIONS,
    LEDGERS,
    MODULE,
    STANDINGS,
    VALIDATOR_POT,
    WAITING_DELEGATIONS,
    HostTombstoned,
)
