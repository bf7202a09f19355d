"""Possession: genesis and invariants."""

from chain.errors import InvalidChainSpec
from chain.module import Context
from chain.modules import balances, beacon, catalogue, hosting, system
from chain.modules.possession.history import get_parameters
from chain.modules.possession.types import (
    COVERED,
    DEMANDS,
    ERA_RULE,
    HISTORIES,
    LEAVES_MAX,
    MISSED,
    PARAMETERS,
    POT,
    PROVEN,
    WINDOW_EPOCHS_MAX,
    EraRule,
    Parameters,
)
from chain.primitives.codec import Record
from chain.primitives.types import PPM
from chain.state import StateReader


class GenesisConfig(Record):
    """Possession at genesis: parameters only."""

    parameters: Parameters


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters; raises InvalidChainSpec for values with which proofs would show nothing.

    A holding that takes effect in epoch e is registered by the end of epoch e - delay. The seed of epoch e -
    seed_delay is known from the start of that epoch on. So the delay of subsets must be longer: otherwise a
    host without the data could try subsets until the leaves drawn are among those it has.
    """
    parameters = config.parameters
    if parameters.seed_delay_epochs >= hosting.get_parameters(ctx.state).delay_epochs:
        raise InvalidChainSpec("possession: seed_delay_epochs must be below hosting's delay_epochs")
    if parameters.seed_delay_epochs >= beacon.get_parameters(ctx.state).seeds_kept:
        raise InvalidChainSpec("possession: seed_delay_epochs must be below beacon's seeds_kept")
    if not 1 <= parameters.deadline_blocks < system.get_parameters(ctx.state).epoch_blocks:
        raise InvalidChainSpec("possession: the deadline must lie within the epoch, after its first block")
    if not 1 <= parameters.leaves_per_epoch <= LEAVES_MAX:
        raise InvalidChainSpec(f"possession: leaves_per_epoch from 1 to {LEAVES_MAX}")
    if not 1 <= parameters.window_epochs <= WINDOW_EPOCHS_MAX:
        raise InvalidChainSpec(f"possession: window_epochs from 1 to {WINDOW_EPOCHS_MAX}")
    if (
        parameters.pay_floor_ppm >= PPM
        or not parameters.credit_proven_epochs
        or parameters.era_proven_ppm > PPM
    ):
        raise InvalidChainSpec("possession: shares at most 1000000, credits at least 1")
    PARAMETERS.set(ctx.state, parameters)
    admitted = catalogue.get_totals(ctx.state).admitted_bytes
    ERA_RULE.set(ctx.state, EraRule(min(parameters.era_bytes_min, admitted)))


def check_invariants(state: StateReader) -> None:
    """The pot holds the fees of open demands; windows and credits are within their bounds."""
    parameters = get_parameters(state)
    assert balances.get_balance(state, POT) == sum(demand.fee for _, demand in DEMANDS.items(state))
    for _, history in HISTORIES.items(state):
        assert len(history.window) <= parameters.window_epochs
        assert not history.window.strip(PROVEN + MISSED + COVERED)
        assert history.credits <= parameters.credits_max
        assert history.credit_progress < parameters.credit_proven_epochs
