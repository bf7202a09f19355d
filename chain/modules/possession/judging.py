"""Possession: the hooks that open and judge an epoch, and the functions that `offences` calls afterwards."""

from chain.module import Context
from chain.modules import balances, catalogue, hosting, system
from chain.modules.hosting import SubsetTotals
from chain.modules.possession.history import (
    compute_era_end,
    compute_excused,
    compute_missed,
    compute_pay_factor,
    compute_proven,
    count_misses,
    get_era_rule,
    get_failed_demands,
    get_parameters,
    get_record,
    get_round,
    is_era_proven,
    is_proven,
)
from chain.modules.possession.types import (
    COVERED,
    DEMANDS,
    ERA_RULE,
    EXCUSES,
    FAILED_DEMANDS,
    HISTORIES,
    JUDGEMENT,
    LAST_ERA_RULE,
    MISSED,
    POT,
    ROUND,
    Demand,
    DemandFailed,
    DemandReturned,
    EraRule,
    Excuses,
    FailedDemand,
    Judged,
    Judgement,
    Missed,
    Parameters,
    Round,
)
from chain.primitives.codec import replace
from chain.primitives.types import HASH_BYTES, PPM, Address, Epoch, Hash
from chain.state import Overlay


def on_epoch_start(ctx: Context) -> None:
    """Store the challenge of this epoch. Subsets do not change within an epoch, so none is copied."""
    ROUND.set(ctx.state, Round(ctx.epoch, ctx.height + get_parameters(ctx.state).deadline_blocks))


def on_block_start(ctx: Context) -> None:
    """At the deadline, judge every host that holds a datum, then the demands."""
    round_ = get_round(ctx.state)
    if round_ is None or ctx.height != round_.deadline:
        return
    subsets = tuple(hosting.list_subset_totals(ctx.state))
    missed = tuple(one for one in subsets if not is_proven(ctx.state, one[0], round_.epoch))
    is_excused = is_mass_miss(get_parameters(ctx.state), subsets, missed) and _take_excuse(ctx)
    for host, _ in subsets:
        _judge(ctx, host, round_.epoch, is_excused)
    failures = _judge_demands(ctx, round_.epoch, is_excused)
    absent = tuple(host for host, _ in missed)
    JUDGEMENT.set(ctx.state, Judgement(round_.epoch, ctx.height, len(subsets), absent, is_excused, failures))
    leaves, leaves_missed = _count_leaves(subsets), _count_leaves(missed)
    ctx.emit(Judged(round_.epoch, len(subsets), len(missed), leaves, leaves_missed, is_excused))


def _take_excuse(ctx: Context) -> bool:
    """Use up one of the era's excuses; False if none is left."""
    excuses = EXCUSES.get(ctx.state)
    used = excuses.epochs if excuses is not None and excuses.era == ctx.era else 0
    if used >= get_parameters(ctx.state).excused_epochs_max:
        return False
    EXCUSES.set(ctx.state, Excuses(ctx.era, used + 1))
    return True


def _judge(ctx: Context, host: Address, epoch: Epoch, is_excused: bool) -> None:
    parameters, before = get_parameters(ctx.state), get_record(ctx.state, host)
    if before.last_proven == epoch:
        HISTORIES.set(ctx.state, compute_proven(parameters, before), host)
        return
    after = compute_excused(parameters, before) if is_excused else compute_missed(parameters, before)
    HISTORIES.set(ctx.state, after, host)
    is_covered = is_excused or after.credits < before.credits
    factor = compute_pay_factor(parameters, after)
    ctx.emit(Missed(host, epoch, is_covered, after.credits, count_misses(after), factor))


def _judge_demands(ctx: Context, epoch: Epoch, is_excused: bool) -> tuple[FailedDemand, ...]:
    failures = []
    for key, demand in list(DEMANDS.items(ctx.state, epoch)):
        host, datum_id = key[:HASH_BYTES], key[HASH_BYTES:]
        DEMANDS.delete(ctx.state, epoch, key)
        balances.transfer(ctx, POT, demand.member, demand.fee)
        was_there = is_proven(ctx.state, host, epoch) and hosting.is_holding(ctx.state, host, datum_id, epoch)
        if was_there and not is_excused:
            failures.append(_fail(ctx, host, datum_id, epoch, demand))
        else:
            ctx.emit(DemandReturned(host, datum_id, epoch, demand.member, demand.fee))
    return tuple(failures)


def _fail(ctx: Context, host: Address, datum_id: Hash, epoch: Epoch, demand: Demand) -> FailedDemand:
    count = get_failed_demands(ctx.state, host, datum_id) + 1
    FAILED_DEMANDS.set(ctx.state, count, host, datum_id)
    ctx.emit(DemandFailed(host, datum_id, epoch, demand.member, demand.fee, count))
    return FailedDemand(host, datum_id, demand.member, count)


def _count_leaves(subsets: tuple[tuple[Address, SubsetTotals], ...]) -> int:
    return sum(totals.leaves for _, totals in subsets)


def on_era_end(ctx: Context) -> None:
    """Say for every host whether the era was proven, by epochs and by bytes held; set the next era's rule.

    Runs before elections and all else that asks. Reads every host that ever held something.
    """
    parameters, rule = get_parameters(ctx.state), get_era_rule(ctx.state)
    era_epochs = system.get_parameters(ctx.state).era_epochs
    for host, history in list(HISTORIES.items(ctx.state)):
        has_bytes = hosting.get_subset_totals(ctx.state, host).bytes >= max(rule.bytes, 1)
        is_proven_ = has_bytes and is_era_proven(parameters, history, era_epochs)
        if is_proven_:
            hosting.count_proven_era(ctx, host)
        HISTORIES.set(ctx.state, compute_era_end(history, is_proven=is_proven_), host)
    LAST_ERA_RULE.set(ctx.state, rule)
    admitted = catalogue.get_totals(ctx.state).admitted_bytes
    ERA_RULE.set(ctx.state, EraRule(min(parameters.era_bytes_min, admitted)))


def restart_window(ctx: Context, host: Address) -> None:
    """The misses so far have been punished: they no longer count for jail and absence, but still for pay."""
    history = get_record(ctx.state, host)
    window = history.window.replace(MISSED, COVERED)
    HISTORIES.set(ctx.state, replace(history, window=window, misses_in_row=0), host)


def clear_failed_demands(state: Overlay, host: Address, datum_id: Hash) -> None:
    """The failed demands for a datum have been punished: they no longer count."""
    FAILED_DEMANDS.delete(state, host, datum_id)


def is_mass_miss(
    parameters: Parameters,
    subsets: tuple[tuple[Address, SubsetTotals], ...],
    missed: tuple[tuple[Address, SubsetTotals], ...],
) -> bool:
    """Whether so many hosts missed that the network is the likely cause.

    Both hosts and leaves are counted, so that many hosts with hardly any data cannot excuse one operator.
    """
    if len(missed) < parameters.mass_miss_hosts_min:
        return False
    is_mass_of_hosts = len(missed) * PPM > parameters.mass_miss_ppm * len(subsets)
    return is_mass_of_hosts and _count_leaves(missed) * PPM > parameters.mass_miss_ppm * _count_leaves(
        subsets
    )
