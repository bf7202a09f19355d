"""The modules of the state machine, and their hooks in the order in which a block runs them.

Numbers and order are protocol. `runtime` runs the hooks; every module is listed here, and nowhere else.
"""

from collections.abc import Callable

from chain.module import Context, Module
from chain.modules import (
    balances,
    beacon,
    catalogue,
    escrow,
    fees,
    hosting,
    juries,
    lockers,
    membership,
    offences,
    possession,
    rewards,
    sessions,
    staking,
    system,
    validators,
)
from chain.state import StateReader

MODULES: tuple[Module, ...] = (
    system.MODULE,
    balances.MODULE,
    fees.MODULE,
    staking.MODULE,
    validators.MODULE,
    membership.MODULE,
    beacon.MODULE,
    catalogue.MODULE,
    hosting.MODULE,
    possession.MODULE,
    sessions.MODULE,
    rewards.MODULE,
    escrow.MODULE,
    offences.MODULE,
    lockers.MODULE,
    juries.MODULE,
)

Hook = Callable[[Context], None]
ON_BLOCK_START: tuple[Hook, ...] = (
    possession.on_block_start,
    offences.on_block_start,
    sessions.on_block_start,
    hosting.on_block_start,
)
ON_EPOCH_START: tuple[Hook, ...] = (
    hosting.on_epoch_start,
    possession.on_epoch_start,
    juries.on_epoch_start,
)
ON_EPOCH_END: tuple[Hook, ...] = (
    offences.on_epoch_end,
    rewards.on_epoch_end,
    catalogue.on_epoch_end,
    juries.on_epoch_end,
    beacon.on_epoch_end,
)
ON_ERA_END: tuple[Hook, ...] = (
    possession.on_era_end,
    escrow.on_era_end,
    lockers.on_era_end,
    rewards.on_era_end,
    staking.on_era_end,
    validators.on_era_end,
)
ON_BLOCK_END: tuple[Hook, ...] = (
    hosting.on_block_end,
    fees.on_block_end,
    validators.on_block_end,
    system.on_block_end,
)


def check_invariants(state: StateReader) -> None:
    """Check every module's invariants, by assertion; for tests and `vidya doctor`."""
    balances.check_invariants(state)
    for module in (
        staking,
        membership,
        catalogue,
        hosting,
        possession,
        sessions,
        escrow,
        lockers,
        juries,
        rewards,
        validators,
    ):
        module.check_invariants(state)
