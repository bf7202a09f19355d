"""Possession: genesis and invariants."""

from chain.errors import InvalidChainSpec
from chain.module import Context
from chain.modules import balances, catalogue, hosting, system
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

    The seed of an epoch is known from the last block of the epoch before. By then all subsets of the epoch
    must be fixed: otherwise a host without the data could try subsets until the leaves drawn are among those
    it has.
    """
    parameters, epoch_blocks = config.parameters, system.get_parameters(ctx.state).epoch_blocks
    if hosting.get_parameters(ctx.state).delay_epochs < 2:
        raise InvalidChainSpec("possession: hosting's delay_epochs must be at least 2")
    if not 1 <= parameters.deadline_blocks < epoch_blocks:
        raise InvalidChainSpec("possession: the deadline must lie within the epoch, after its first block")
    if parameters.deadline_blocks + parameters.sale_pause_blocks >= epoch_blocks:
        raise InvalidChainSpec("possession: deadline and pause of sales must be shorter than an epoch")
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
