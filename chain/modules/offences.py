"""Offences: the punishment of each fault, from a missed proof to equivocation.

Faults of a machine (missed proofs, a declared loss) cost little, and more with repetition; jail gives the
host time to repair it. Equivocation needs a cheat or a badly kept key: it costs more the more validators do
it together, and ends in the tombstone, so that nobody is slashed for it twice. Every event carries the
factors of its slash.

Not here: how stake is taken and distributed (staking), how proofs are judged (possession).
"""

from chain.errors import DispatchError, InvalidChainSpec
from chain.module import Context, Module
from chain.modules import beacon, hosting, possession, rewards, staking, system, validators
from chain.primitives.codec import Record
from chain.primitives.fixed_point import mul_div, mul_ppm
from chain.primitives.types import PPM, Address, Amount, Epoch, Era, Hash, Height, Ppm, Uint32
from chain.state import StateReader, StorageMap, StorageValue
from chain.votes import (
    Evidence,
    InvalidEvidence,
    check_evidence,
    compute_evidence_hash,
    get_offence_height,
    get_offender,
)

MODULE = Module("offences", index=13)

JAILINGS_KEPT_MAX = 16
"""More doublings than the smallest slash needs to reach the cap."""


class Parameters(Record):
    """The slash of each fault, in millionths of all liable stake."""

    equivocation_ppm_min: Ppm
    equivocation_window_eras: Uint32
    """Equivocations within so many eras count together."""
    miss_jail_ppm: Ppm
    """Share of the proof window that, if missed, leads to jail."""
    jail_epochs: Uint32
    miss_slash_ppm: Ppm
    """For the first jailing; doubled for each earlier one within `jailing_window_eras`."""
    miss_slash_ppm_max: Ppm
    jailing_window_eras: Uint32
    offline_epochs: Uint32
    """Misses in a row after which all holdings of the host are unregistered."""
    unrevealed_ppm: Ppm
    """Of the own bond, for each withheld beacon link; at least the validator pay of an era."""
    unrevealed_links_max: Uint32
    """So many withheld links end a candidacy."""
    demand_failures_max: Uint32
    """Failed demands for one datum after which the host is slashed."""
    demand_slash_ppm: Ppm


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
EQUIVOCATIONS = StorageMap(MODULE.index, 1, bool)
"""(era, validator) -> True, while the equivocation counts together with later ones."""
JAILINGS = StorageMap(MODULE.index, 2, tuple[Era, ...])
"""Host -> eras in which it was jailed for misses, the latest last."""
WITHHELD_LINKS = StorageMap(MODULE.index, 3, int)
"""Validator -> beacon links withheld since it stands."""


@MODULE.event(1)
class EquivocationProven(Record):
    """`offenders` of `validators` equivocated within the window; the slash is max(min, (3x/n)^2).

    `stake_ppm` of the stake that is liable now was there at the offence: the slash is taken of that part.
    """

    validator: Address
    height: Height
    evidence: Hash
    offenders: Uint32
    validators: Uint32
    ppm: Ppm
    stake_ppm: Ppm
    reporter: Address


@MODULE.event(2)
class MissesPunished(Record):
    """The host missed `missed` of `window` epochs; each of `jailings` recent jailings doubled the slash."""

    host: Address
    missed: Uint32
    window: Uint32
    jailings: Uint32
    ppm: Ppm
    until: Epoch


@MODULE.event(3)
class WentOffline(Record):
    """The host missed so many epochs in a row that all its holdings were unregistered."""

    host: Address
    missed: Uint32


@MODULE.event(4)
class RevealsWithheld(Record):
    """A validator proposed `links` blocks of the epoch without a beacon link: it is slashed and not paid.

    `per_link` = max(`ppm` of the own bond, `era_pay`); `total` since it stands; `is_over`: it stands no more.
    """

    validator: Address
    epoch: Epoch
    links: Uint32
    ppm: Ppm
    era_pay: Amount
    per_link: Amount
    total: Uint32
    is_over: bool


@MODULE.event(5)
class DemandsFailed(Record):
    """The host failed so many demands for one datum that `ppm` of the `pledge` behind it is taken."""

    host: Address
    datum: Hash
    failures: Uint32
    pledge: Amount
    ppm: Ppm


@MODULE.event(6)
class LossDeclared(Record):
    """The host declared the loss of a datum: `ppm` of the `pledge` behind it is taken."""

    host: Address
    datum: Hash
    pledge: Amount
    ppm: Ppm


@MODULE.error(1)
class EvidenceExpired(DispatchError):
    """The offence is too old, or its height is not decided yet."""


@MODULE.error(2)
class EvidenceRejected(DispatchError):
    """The two messages do not show that a validator of that height equivocated."""


@MODULE.error(3)
class AlreadyPunished(DispatchError):
    """The validator is tombstoned already: nobody is slashed for equivocation twice."""


@MODULE.error(4)
class NotJailed(DispatchError):
    """The account is not in jail."""


@MODULE.error(5)
class StillJailed(DispatchError):
    """The time in jail is not over, or the host is tombstoned."""


@MODULE.error(6)
class NotHeld(DispatchError):
    """The account does not hold the datum now."""


class Report(Record):
    """Report evidence that a validator equivocated."""

    evidence: Evidence


class Unjail(Record):
    """Ask to leave jail, once the time in it is over."""


class DeclareLoss(Record):
    """Declare the loss of a datum, for half of the slash."""

    datum: Hash


@MODULE.call(1, Report, weight=2_300, is_duty=True)
def report(ctx: Context, sender: Address, call: Report) -> None:
    """Slash and tombstone an equivocator; the sender gets the reporter's share."""
    offender, height = get_offender(call.evidence), get_offence_height(call.evidence)
    _check_evidence(ctx, call.evidence, height)
    if staking.is_tombstoned(ctx.state, offender):
        raise AlreadyPunished
    members = validators.get_members_at(ctx.state, height)
    assert members is not None
    EQUIVOCATIONS.set(ctx.state, True, ctx.era, offender)
    offenders, count = _count_equivocations(ctx), len(members.validators)
    ppm = compute_equivocation_slash(get_parameters(ctx.state).equivocation_ppm_min, offenders, count)
    stake_ppm = compute_stake_share(ctx.state, offender, height)
    name = compute_evidence_hash(call.evidence)
    ctx.emit(EquivocationProven(offender, height, name, offenders, count, ppm, stake_ppm, sender))
    staking.slash(ctx, offender, mul_ppm(ppm, stake_ppm), height, sender, "equivocation")
    staking.tombstone(ctx, offender)
    validators.remove(ctx, offender)
    hosting.unregister_all(ctx, offender)


def compute_stake_share(state: StateReader, offender: Address, height: Height) -> Ppm:
    """The share of the liable stake that was there at the offence: stake bonded later is not at risk.

    One rate applies to all of it, so that no order of bonding and unbonding reduces the slash.
    """
    answering = staking.get_liable_stake(state, offender, height)
    behind = validators.get_stake_behind(state, offender, height)
    return PPM if answering <= behind else mul_div(PPM, behind, answering)


def _check_evidence(ctx: Context, evidence: Evidence, height: Height) -> None:
    if height > ctx.height or validators.is_expired(ctx.state, ctx.height, ctx.time_ms, height):
        raise EvidenceExpired
    members = validators.get_members_at(ctx.state, height)
    if members is None:
        raise EvidenceExpired
    try:
        check_evidence(ctx.genesis_hash, members, evidence, ctx.verify)
    except InvalidEvidence as error:
        raise EvidenceRejected(str(error)) from error


def _count_equivocations(ctx: Context) -> int:
    """Validators that equivocated within the window; deletes older entries."""
    oldest = ctx.era - get_parameters(ctx.state).equivocation_window_eras
    count = 0
    for key, _ in EQUIVOCATIONS.items(ctx.state):
        if int.from_bytes(key[:8], "big") < oldest:
            EQUIVOCATIONS.delete(ctx.state, key)
        else:
            count += 1
    return count


@MODULE.call(2, Unjail, weight=100)
def unjail(ctx: Context, sender: Address, call: Unjail) -> None:
    """Leave jail; the misses so far no longer count."""
    standing = staking.get_standing(ctx.state, sender)
    if not standing.is_jailed:
        raise NotJailed
    if standing.is_tombstoned or ctx.epoch < standing.jailed_until:
        raise StillJailed(f"until epoch {standing.jailed_until}")
    staking.unjail(ctx, sender)
    possession.restart_window(ctx, sender)


@MODULE.call(3, DeclareLoss, weight=5_700)
def declare_loss(ctx: Context, sender: Address, call: DeclareLoss) -> None:
    """Unregister a lost datum, for half of what failed demands would cost."""
    holding = hosting.get_holding(ctx.state, sender, call.datum)
    if holding is None or not hosting.is_holding(ctx.state, sender, call.datum, ctx.epoch):
        raise NotHeld
    pledge, ppm = holding.pledge, get_parameters(ctx.state).demand_slash_ppm // 2
    hosting.unregister(ctx, sender, call.datum)
    ctx.emit(LossDeclared(sender, call.datum, pledge, ppm))
    staking.slash_amount(ctx, sender, mul_ppm(pledge, ppm), "loss_declared")


def on_block_start(ctx: Context) -> None:
    """Punish misses, absence and failed demands, in the block in which `possession` has judged an epoch."""
    judgement = possession.get_judgement(ctx.state)
    if judgement is None or judgement.height != ctx.height or judgement.is_excused:
        return
    for host in judgement.missed:
        _punish_misses(ctx, host)
    for failure in judgement.failures:
        _punish_demands(ctx, failure.host, failure.datum, failure.failures)


def _punish_misses(ctx: Context, host: Address) -> None:
    """Unregister a host that is offline; jail and slash one that missed too much and is not in jail."""
    parameters = get_parameters(ctx.state)
    history = possession.get_record(ctx.state, host)
    if history.misses_in_row >= parameters.offline_epochs:
        ctx.emit(WentOffline(host, history.misses_in_row))
        hosting.unregister_all(ctx, host)
    missed, window = possession.count_misses(history), possession.get_parameters(ctx.state).window_epochs
    if missed * PPM < parameters.miss_jail_ppm * window or staking.is_jailed(ctx.state, host):
        return
    jailings = _get_jailings(ctx.state, host, ctx.era)
    ppm = compute_miss_slash(parameters, len(jailings))
    until = ctx.epoch + 1 + parameters.jail_epochs
    JAILINGS.set(ctx.state, (*jailings, ctx.era)[-JAILINGS_KEPT_MAX:], host)
    ctx.emit(MissesPunished(host, missed, window, len(jailings), ppm, until))
    staking.slash_own(ctx, host, ppm, "proofs_missed")
    staking.jail(ctx, host, until)
    validators.remove(ctx, host)
    possession.restart_window(ctx, host)


def _get_jailings(state: StateReader, host: Address, era: Era) -> tuple[Era, ...]:
    window = get_parameters(state).jailing_window_eras
    return tuple(before for before in JAILINGS.get(state, host) or () if before + window > era)


def _punish_demands(ctx: Context, host: Address, datum: Hash, failures: int) -> None:
    parameters = get_parameters(ctx.state)
    if failures < parameters.demand_failures_max:
        return
    possession.clear_failed_demands(ctx.state, host, datum)
    holding = hosting.get_holding(ctx.state, host, datum)
    pledge = 0 if holding is None else holding.pledge
    ctx.emit(DemandsFailed(host, datum, failures, pledge, parameters.demand_slash_ppm))
    staking.slash_amount(ctx, host, mul_ppm(pledge, parameters.demand_slash_ppm), "demands_failed")


def on_epoch_end(ctx: Context) -> None:
    """Slash validators that withheld beacon links, and take their pay. Runs before the hook of `rewards`."""
    for who, links in beacon.list_misses(ctx.state, ctx.epoch):
        _punish_withheld(ctx, who, links)
        validators.forfeit(ctx, who)


def _punish_withheld(ctx: Context, who: Address, links: int) -> None:
    """Each link costs a share of the own bond, an era's validator pay at least; too many, the candidacy."""
    parameters, total = get_parameters(ctx.state), links + (WITHHELD_LINKS.get(ctx.state, who) or 0)
    pay = rewards.get_era_pay(ctx.state, who)
    per_link = max(mul_ppm(staking.get_bond(ctx.state, who), parameters.unrevealed_ppm), pay)
    is_over = total >= parameters.unrevealed_links_max
    ctx.emit(RevealsWithheld(who, ctx.epoch, links, parameters.unrevealed_ppm, pay, per_link, total, is_over))
    staking.slash_amount(ctx, who, links * per_link, "reveals_withheld")
    if is_over:
        WITHHELD_LINKS.delete(ctx.state, who)
        validators.end_candidacy(ctx, who)
    else:
        WITHHELD_LINKS.set(ctx.state, total, who)


class GenesisConfig(Record):
    """Offences at genesis: parameters only."""

    parameters: Parameters


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters; raises InvalidChainSpec if evidence is accepted longer than stake unbonds."""
    parameters, periods = config.parameters, system.get_parameters(ctx.state)
    unbonding_eras = staking.get_parameters(ctx.state).unbonding_eras
    unbonding_blocks = unbonding_eras * periods.era_epochs * periods.epoch_blocks
    unbonding_ms = unbonding_blocks * periods.block_ms
    if periods.evidence_age_blocks > unbonding_blocks or periods.evidence_age_ms > unbonding_ms:
        raise InvalidChainSpec("offences: evidence must expire before stake has unbonded")
    shares = (
        parameters.equivocation_ppm_min,
        parameters.miss_jail_ppm,
        parameters.miss_slash_ppm_max,
        parameters.unrevealed_ppm,
        parameters.demand_slash_ppm,
    )
    if max(shares) > PPM or 0 in (
        parameters.miss_jail_ppm,
        parameters.offline_epochs,
        parameters.unrevealed_links_max,
    ):
        raise InvalidChainSpec("offences: shares at most 1000000; misses and links at least 1")
    PARAMETERS.set(ctx.state, parameters)


def compute_equivocation_slash(ppm_min: Ppm, offenders: int, count: int) -> Ppm:
    """max(min, min((3x/n)^2, 1)): one offender alone pays the minimum, a third of all together everything."""
    return max(ppm_min, min(9 * offenders * offenders * PPM // (count * count), PPM))


def compute_miss_slash(parameters: Parameters, jailings: int) -> Ppm:
    """Doubled for each earlier jailing, up to the cap."""
    return min(parameters.miss_slash_ppm << jailings, parameters.miss_slash_ppm_max)


def get_parameters(state: StateReader) -> Parameters:
    """The parameters of offences."""
    return PARAMETERS.require(state)
