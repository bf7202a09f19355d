"""Validators: the election at the end of an era, and removals before it."""

from chain.module import Context
from chain.modules import staking
from chain.modules.validators.queries import get_candidate, get_parameters, get_target, is_electable
from chain.modules.validators.types import (
    CANDIDATES,
    ELECTED_POWER,
    ELECTED_STAKES,
    TARGET,
    UNPAID,
    Chilled,
    Elected,
    ElectedStake,
    Parameters,
    RemovalDeferred,
    Removed,
)
from chain.primitives.codec import replace
from chain.primitives.types import Address
from chain.state import Overlay, StateReader
from chain.validator_set import ValidatorChange


def remove(ctx: Context, who: Address) -> None:
    """Remove a jailed or tombstoned validator before the next election.

    A jailed validator stays, unpaid, if too few members or less than 2/3 of the elected power would be left.
    A tombstoned one is removed unless it is the last.
    """
    target = get_target(ctx.state)
    left = tuple(member for member in target if member.address != who)
    if len(left) == len(target):
        return
    is_allowed = _is_enough(ctx.state, left) or staking.is_tombstoned(ctx.state, who)
    if left and is_allowed:
        TARGET.set(ctx.state, left)
        ctx.emit(Removed(who))
    else:
        UNPAID.set(ctx.state, (*(UNPAID.get(ctx.state) or ()), who))
        ctx.emit(RemovalDeferred(who))


def lower_fallen(ctx: Context) -> None:
    """Power follows a falling stake at once; rising stake waits for the election.

    A validator without any stake has one unit left until it is out of the set.
    """
    fallen, unit = staking.list_fallen(ctx.state), get_parameters(ctx.state).power_unit
    powers = {who: staking.get_power(ctx.state, who) // unit for who in fallen}
    target = get_target(ctx.state)
    lowered = tuple(
        replace(member, power=max(min(member.power, powers.get(member.address, member.power)), 1))
        for member in target
    )
    if lowered != target:
        TARGET.set(ctx.state, lowered)
    for who in fallen:
        if powers[who] == 0:
            remove(ctx, who)
    staking.forget_fallen(ctx.state)


def end_candidacy(ctx: Context, who: Address) -> None:
    """The account stands no more, and leaves the set; it may stand again. Emits Chilled."""
    candidate = get_candidate(ctx.state, who)
    if candidate is not None and not candidate.is_chilled:
        CANDIDATES.set(ctx.state, replace(candidate, is_chilled=True), who)
        ctx.emit(Chilled(who))
    remove(ctx, who)


def on_era_end(ctx: Context) -> None:
    """Elect the strongest candidates that qualify; if there are too few, willing members stay, unpaid."""
    parameters = get_parameters(ctx.state)
    old = get_target(ctx.state)
    names = [who for who, _ in CANDIDATES.items(ctx.state)]
    candidates = [who for who in names if is_electable(ctx.state, who, ctx.epoch + 1)]
    chosen = rank(ctx.state, parameters, candidates)
    unpaid: tuple[Address, ...] = ()
    if not _is_enough(ctx.state, chosen):
        present = [member.address for member in chosen]
        absent = [member.address for member in old if member.address not in present]
        unpaid = tuple(who for who in absent if _is_willing(ctx.state, who))
        chosen = rank(ctx.state, parameters, [*present, *unpaid])
    set_target(ctx, chosen or old, unpaid, len(candidates))


def set_target(
    ctx: Context, target: tuple[ValidatorChange, ...], unpaid: tuple[Address, ...], candidates: int
) -> None:
    power = sum(member.power for member in target)
    TARGET.set(ctx.state, target)
    ELECTED_POWER.set(ctx.state, power)
    UNPAID.set(ctx.state, unpaid)
    _note_stakes(ctx.state, target)
    ranking = tuple((member.address, member.power) for member in target)
    ctx.emit(Elected(ctx.era, candidates, power, ranking, unpaid))


def _note_stakes(state: Overlay, target: tuple[ValidatorChange, ...]) -> None:
    """Replace the stakes of the last election."""
    for who, _ in list(ELECTED_STAKES.items(state)):
        ELECTED_STAKES.delete(state, who)
    for member in target:
        bond, pool = staking.get_bond(state, member.address), staking.get_pool(state, member.address)
        ELECTED_STAKES.set(state, ElectedStake(bond, pool.amount), member.address)


def rank(state: StateReader, parameters: Parameters, names: list[Address]) -> tuple[ValidatorChange, ...]:
    """The strongest of `names`, ties by address; sorted by address."""
    powers = {who: staking.get_power(state, who) // parameters.power_unit for who in names}
    ranked = sorted((who for who in names if powers[who] > 0), key=lambda who: (-powers[who], who))
    members = []
    for who in sorted(ranked[: parameters.validators_max]):
        candidate = get_candidate(state, who)
        assert candidate is not None
        members.append(ValidatorChange(who, candidate.consensus_key, powers[who]))
    return tuple(members)


def _is_enough(state: StateReader, members: tuple[ValidatorChange, ...]) -> bool:
    """Whether these are enough members, with at least 2/3 of the power last elected."""
    power = sum(member.power for member in members)
    elected = ELECTED_POWER.require(state)
    return len(members) >= get_parameters(state).validators_min and 3 * power >= 2 * elected


def _is_willing(state: StateReader, who: Address) -> bool:
    """Whether a member may stay unpaid: it has not chilled and is not tombstoned."""
    candidate = get_candidate(state, who)
    return candidate is not None and not candidate.is_chilled and not staking.is_tombstoned(state, who)
