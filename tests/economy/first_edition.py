"""The first edition of the economy, as a switch: values of the chain spec, and functions swapped for a run.

Only what an attack of the table depends on is brought back. The functions are those of the program before
the second edition, shortened.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from chain.genesis import ChainSpec
from chain.module import Context
from chain.modules import (
    balances,
    beacon,
    hosting,
    offences,
    possession,
    rewards,
    staking,
    system,
    validators,
)
from chain.modules.possession import judging
from chain.modules.rewards import hooks, payments
from chain.modules.staking.calls import Delegate
from chain.primitives.codec import Record, replace
from chain.primitives.types import PPM, Address, Amount, Epoch, Hash
from chain.state import StateReader

VIDYA = 10**9
BOND_PER_GIB = 57 * VIDYA // 10
REFUND_FACTOR = 3
"""A member got its fee back so many times for a failed demand, the rest out of the host's bond."""


def change_spec(spec: ChainSpec) -> ChainSpec:
    """The spec with the first edition's values."""
    values: dict[str, dict[str, Any]] = {
        "rewards": {
            "hosting_price_ppm": 0,
            "are_networks_counted": False,
            "replicas": 7,
            "halving_eras": 0,
            "subtree_ppm": PPM,
        },
        "catalogue": {
            "unpaid_eras": 0,
            "sponsor_eras": 0,
            "sponsor_per_gib_min": 0,
            "sponsor_min": 0,
            "curator_bond_eras": 10**6,
        },
        "possession": {"excused_epochs_max": 2**31, "era_bytes_min": 0},
        "hosting": {"pledge_eras": 0, "pledge_per_gib_min": BOND_PER_GIB, "pledge_supply_ppm": 0},
        "escrow": {"tiers": _get_tiers(spec.escrow.parameters)},
        "offences": {"unrevealed_links_max": 2**31},
    }
    changed = {
        name: replace(getattr(spec, name), parameters=replace(getattr(spec, name).parameters, **fields))
        for name, fields in values.items()
    }
    return replace(spec, **changed)


def _get_tiers(parameters: Any) -> tuple[Record, ...]:
    """Withholding by age: 90, 180, 270 eras."""
    ages = (90, 180, 270)
    return tuple(
        replace(tier, proven_eras_below=age) for tier, age in zip(parameters.tiers, ages, strict=True)
    )


@contextmanager
def run_first_edition() -> Iterator[None]:
    """Swap the functions of the second edition for those of the first."""
    with ExitStack() as stack:
        for owner, name, function in SWAPS:
            stack.enter_context(patch.object(owner, name, function))
        yield


def get_nominal_pools(state: StateReader, now_ms: int) -> rewards.types.Pools:
    """An epoch minted its nominal emission, however fast its blocks were."""
    started_ms = rewards.types.PAID_UNTIL_MS.require(state)
    return _get_pools(state, started_ms + payments.get_epoch_ms(state))


_get_pools = payments.get_pools


def get_age(state: StateReader, who: Address) -> int:
    """Withholding counted eras since registration, whatever was proven."""
    host, position = hosting.get_host(state, who), system.get_position(state)
    era = system.compute_era(system.get_parameters(state), position.height + 1)
    return 0 if host is None else era - host.since_era


def leave_history(parameters: possession.types.Parameters, history: Record) -> Record:
    """An excused epoch left the history as it was: it cost no pay later."""
    return history


def meet_demand(ctx: Context, host: Address, epoch: Epoch, datum_id: Hash) -> None:
    """The host got the fee of a proven demand."""
    demand = possession.types.DEMANDS.get(ctx.state, epoch, host, datum_id)
    assert demand is not None
    possession.types.DEMANDS.delete(ctx.state, epoch, host, datum_id)
    balances.transfer(ctx, possession.types.POT, host, demand.fee)


def punish_all(ctx: Context, who: Address, ppm: int, reason: str) -> staking.types.Slashed:
    """Delegators shared the slashes of hosting."""
    return staking.slash(ctx, who, ppm, ctx.height, None, reason)


def punish_failures(ctx: Context) -> None:
    """Each failed demand paid the member who made it; three took 5 % of everything behind the host."""
    judgement = possession.get_judgement(ctx.state)
    if judgement is None or judgement.height != ctx.height or judgement.is_excused:
        return
    for host in judgement.missed:
        offences._punish_misses(ctx, host)
    for failure in judgement.failures:
        fee = possession.get_parameters(ctx.state).demand_fee
        fine(ctx, failure.host, fee * (REFUND_FACTOR - 1), failure.member)
        parameters = offences.get_parameters(ctx.state)
        if failure.failures >= parameters.demand_failures_max:
            possession.clear_failed_demands(ctx.state, failure.host, failure.datum)
            punish_all(ctx, failure.host, parameters.demand_slash_ppm, "demands_failed")


def fine(ctx: Context, who: Address, amount: Amount, payee: Address) -> None:
    """Move `amount` of the own bond, or all of it if it is less, to `payee`."""
    ledger = staking.get_ledger(ctx.state, who)
    taken = min(amount, ledger.active)
    staking.ledger.set_ledger(ctx.state, who, replace(ledger, active=ledger.active - taken))
    balances.transfer(ctx, staking.types.POT, payee, taken)


def fine_epoch(ctx: Context) -> None:
    """However many links were withheld in an epoch, one fine was taken."""
    ppm = offences.get_parameters(ctx.state).unrevealed_ppm
    for who, _ in beacon.list_misses(ctx.state, ctx.epoch):
        punish_all(ctx, who, ppm, "reveals_withheld")
        validators.forfeit(ctx, who)


def delegate_at_once(ctx: Context, sender: Address, call: Delegate) -> None:
    """Delegated stake joined the pool at once, before it was elected."""
    staking.calls.delegate(ctx, sender, call)
    staking.types.WAITING_DELEGATIONS.delete(ctx.state, sender, call.host)
    staking.joining._join(ctx, sender, call.host, call.amount)


def get_current_shares(state: StateReader, who: Address) -> tuple[Amount, Amount]:
    """Delegators shared pay by what was delegated when it was paid."""
    return staking.get_bond(state, who), staking.get_pool(state, who).amount


SWAPS: tuple[tuple[Any, str, Any], ...] = (
    (payments, "get_pools", get_nominal_pools),
    (payments, "_get_shares_of_pay", get_current_shares),
    (hooks, "_get_proven_eras", get_age),
    (judging, "compute_excused", leave_history),
    (possession.calls, "_meet_demand", meet_demand),
    (staking, "slash_own", punish_all),
)
REPLACED = {offences.on_block_start: punish_failures, offences.on_epoch_end: fine_epoch}
"""Hooks of the runtime's tables that are replaced in a run."""
CALLS: dict[type[Record], Any] = {Delegate: delegate_at_once}
"""Handlers of calls that are replaced."""
