"""Possession: the history of a host's proofs: pure arithmetic on it, and reads of the state."""

from chain.modules import hosting
from chain.modules.possession.types import (
    COVERED,
    ERA_RULE,
    FAILED_DEMANDS,
    HISTORIES,
    JUDGEMENT,
    LAST_ERA_RULE,
    MISSED,
    NEW_HISTORY,
    PARAMETERS,
    PROVEN,
    ROUND,
    EraRule,
    History,
    Judgement,
    Parameters,
    Round,
)
from chain.primitives.codec import replace
from chain.primitives.types import PPM, Address, Epoch, Hash, Ppm
from chain.state import StateReader


def compute_proven(parameters: Parameters, history: History) -> History:
    """The history with one more proven epoch; every `credit_proven_epochs` of them earn a credit."""
    progress, credits_ = history.credit_progress + 1, history.credits
    if progress == parameters.credit_proven_epochs:
        progress, credits_ = 0, min(credits_ + 1, parameters.credits_max)
    return replace(
        history,
        window=_push(parameters, history.window, PROVEN),
        credits=credits_,
        credit_progress=progress,
        misses_in_row=0,
        proven_in_era=history.proven_in_era + 1,
    )


def compute_excused(parameters: Parameters, history: History) -> History:
    """The history with one more epoch missed that is excused: it costs pay, no credit, and nothing more."""
    return replace(history, window=_push(parameters, history.window, COVERED))


def compute_era_end(history: History, *, is_proven: bool) -> History:
    """The history at the start of the next era."""
    return replace(history, proven_in_era=0, is_era_proven=is_proven)


def is_era_proven(parameters: Parameters, history: History, era_epochs: int) -> bool:
    """Whether so many of the era's epochs were proven as must be."""
    return history.proven_in_era * PPM >= parameters.era_proven_ppm * era_epochs


def compute_missed(parameters: Parameters, history: History) -> History:
    """The history with one more missed epoch; spends a credit if there is one."""
    outcome = COVERED if history.credits else MISSED
    return replace(
        history,
        window=_push(parameters, history.window, outcome),
        credits=max(history.credits - 1, 0),
        misses_in_row=history.misses_in_row + 1,
    )


def _push(parameters: Parameters, window: bytes, outcome: bytes) -> bytes:
    return (window + outcome)[-parameters.window_epochs :]


def compute_pay_factor(parameters: Parameters, history: History) -> Ppm:
    """A' = max(0, (A - floor) / (1 - floor)), rounded down; A is the share of proven epochs in the window."""
    judged, proven = len(history.window), history.window.count(PROVEN)
    above = proven * PPM - judged * parameters.pay_floor_ppm
    return max(above, 0) * PPM // (judged * (PPM - parameters.pay_floor_ppm)) if judged else 0


def count_misses(history: History) -> int:
    """Misses of the window that count for jail."""
    return history.window.count(MISSED)


def get_parameters(state: StateReader) -> Parameters:
    """The parameters of possession proofs."""
    return PARAMETERS.require(state)


def get_round(state: StateReader) -> Round | None:
    """The challenge of the current epoch; None before the first block."""
    return ROUND.get(state)


def get_record(state: StateReader, host: Address) -> History:
    """The history of a host; empty for an account never judged."""
    return HISTORIES.get(state, host) or NEW_HISTORY


def is_proven(state: StateReader, host: Address, epoch: Epoch) -> bool:
    """Whether `epoch` is the latest epoch that a host has proven."""
    return get_record(state, host).last_proven == epoch


def get_pay_factor(state: StateReader, host: Address) -> Ppm:
    """The share of full pay that the host's recent proofs earn; 0 for a host that holds nothing now."""
    if hosting.get_subset_totals(state, host).leaves == 0:
        return 0
    return compute_pay_factor(get_parameters(state), get_record(state, host))


def get_era_rule(state: StateReader) -> EraRule:
    """What this era asks of a validator-host."""
    return ERA_RULE.get(state) or EraRule(0)


def has_proven_era(state: StateReader, host: Address) -> bool:
    """Whether the last era counts as proven for a host; it does for all if there was nothing to hold."""
    rule = LAST_ERA_RULE.get(state)
    return rule is None or rule.bytes == 0 or get_record(state, host).is_era_proven


def get_judgement(state: StateReader) -> Judgement | None:
    """The outcome of the last judged epoch."""
    return JUDGEMENT.get(state)


def get_failed_demands(state: StateReader, host: Address, datum_id: Hash) -> int:
    """Demands for a datum that a host has failed since its last punishment for them."""
    return FAILED_DEMANDS.get(state, host, datum_id) or 0
