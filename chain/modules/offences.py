"""Offences: what a fault costs, from a missed proof to two signatures for one slot.

Faults that a machine can have (missed proofs, a loss admitted) cost little and grow with repetition; jail
gives the host time to mend. A fault that only a cheat or a badly kept key can make (equivocation) costs
more the more validators make it together, and ends in the tombstone: nobody is slashed for it twice. Every
event carries the factors from which its slash follows.

Not here: how stake is taken and shared out (staking), how proofs are judged (possession).
"""

from chain.errors import DispatchError, InvalidChainSpec
from chain.module import Context, Module
from chain.modules import beacon, hosting, possession, staking, system, validators
from chain.primitives.codec import Record
from chain.primitives.fixed_point import mul_div, mul_ppm
from chain.primitives.types import PPM, Address, Epoch, Era, Hash, Height, Ppm, Uint, Uint32
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
"""More than it takes to reach the cap from the smallest slash."""


class Parameters(Record):
    """What each fault costs, in millionths of all stake that answers for it."""

    equivocation_ppm_min: Ppm
    equivocation_window_eras: Uint32
    """Equivocations so far back count together."""
    miss_jail_ppm: Ppm
    """Share of the proof window whose misses lead to jail."""
    jail_epochs: Uint32
    miss_slash_ppm: Ppm
    """For the first jailing; doubles with each other within `jailing_window_eras`."""
    miss_slash_ppm_max: Ppm
    jailing_window_eras: Uint32
    offline_epochs: Uint32
    """Misses in a row after which everything is unregistered."""
    unrevealed_ppm: Ppm
    demand_failures_max: Uint32
    """Failed demands for one datum until the bond is slashed."""
    demand_slash_ppm: Ppm


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
EQUIVOCATIONS = StorageMap(MODULE.index, 1, bool)
"""(era, validator) -> True, for as long as they count together."""
JAILINGS = StorageMap(MODULE.index, 2, tuple[Era, ...])
"""Host -> eras of its jailings for misses, the latest last."""


@MODULE.event(1)
class EquivocationProven(Record):
    """`offenders` of `validators` equivocated within the window; the slash is max(min, (3x/n)^2).

    `stake_ppm` of what answers now was behind the offender's power then: of so much the slash is taken.
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
    """`missed` of a window of `window` epochs; each of `jailings` before in recent eras doubled the slash."""

    host: Address
    missed: Uint32
    window: Uint32
    jailings: Uint32
    ppm: Ppm
    until: Epoch


@MODULE.event(3)
class WentOffline(Record):
    """The host missed so many epochs in a row that its data counts for nothing."""

    host: Address
    missed: Uint32


@MODULE.event(4)
class RevealsWithheld(Record):
    """A validator proposed `blocks` blocks of the epoch without a beacon link: slashed, and no pay for it."""

    validator: Address
    epoch: Epoch
    blocks: Uint32
    ppm: Ppm


@MODULE.event(5)
class DemandsFailed(Record):
    """The host could not prove the same datum on demand so many times."""

    host: Address
    datum: Hash
    failures: Uint32
    ppm: Ppm


@MODULE.event(6)
class LossDeclared(Record):
    """The host owned up to the loss of `size` of its `hosted` bytes: half of the slash, by their share."""

    host: Address
    datum: Hash
    size: Uint
    hosted: Uint
    ppm: Ppm


@MODULE.error(1)
class EvidenceExpired(DispatchError):
    """The offence is too old, or its height is not decided yet."""


@MODULE.error(2)
class EvidenceRejected(DispatchError):
    """The two messages do not show that a validator of that height equivocated."""


@MODULE.error(3)
class AlreadyPunished(DispatchError):
    """The validator is tombstoned: nobody is slashed for equivocation twice."""


@MODULE.error(4)
class NotJailed(DispatchError):
    """The account is not in jail."""


@MODULE.error(5)
class StillJailed(DispatchError):
    """The jail's time is not over, or it is for good."""


@MODULE.error(6)
class NotHeld(DispatchError):
    """The account does not hold the datum now."""


class Report(Record):
    """Show that a validator equivocated."""

    evidence: Evidence


class Unjail(Record):
    """Leave jail after its time."""


class DeclareLoss(Record):
    """Say that one has lost a datum, before somebody finds out."""

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
    """How much of the stake that answers now was there at the offence: what was bonded later is not at risk.

    It is one rate for all of it, so that no order of bonding and unbonding saves anything.
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
        check_evidence(ctx.genesis_hash, members, evidence)
    except InvalidEvidence as error:
        raise EvidenceRejected(str(error)) from error


def _count_equivocations(ctx: Context) -> int:
    """Validators that equivocated within the window; forgets older ones."""
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
    """Leave jail with a fresh window of proofs."""
    standing = staking.get_standing(ctx.state, sender)
    if not standing.is_jailed:
        raise NotJailed
    if standing.is_tombstoned or ctx.epoch < standing.jailed_until:
        raise StillJailed(f"until epoch {standing.jailed_until}")
    staking.unjail(ctx, sender)
    possession.restart_window(ctx, sender)


@MODULE.call(3, DeclareLoss, weight=5_700)
def declare_loss(ctx: Context, sender: Address, call: DeclareLoss) -> None:
    """Drop a datum from the next epoch on, for half of the slash of failed demands by its share of bytes."""
    holding = hosting.get_holding(ctx.state, sender, call.datum)
    if holding is None or not hosting.is_holding(ctx.state, sender, call.datum, ctx.epoch):
        raise NotHeld
    host = hosting.get_host(ctx.state, sender)
    assert host is not None
    size, hosted = holding.size_bytes, host.bytes
    ppm = mul_div(get_parameters(ctx.state).demand_slash_ppm // 2, size, hosted)
    hosting.unregister(ctx, sender, call.datum)
    ctx.emit(LossDeclared(sender, call.datum, size, hosted, ppm))
    staking.slash(ctx, sender, ppm, ctx.height, None, "loss_declared")


def on_block_start(ctx: Context) -> None:
    """In the block in which possession has judged an epoch, punish misses, absence and failed demands."""
    judgement = possession.get_judgement(ctx.state)
    if judgement is None or judgement.height != ctx.height or judgement.is_excused:
        return
    for host in judgement.missed:
        _punish_misses(ctx, host)
    for failure in judgement.failures:
        staking.fine(ctx, failure.host, failure.owed, failure.member, "demand_failed")
        _punish_demands(ctx, failure.host, failure.datum, failure.failures)


def _punish_misses(ctx: Context, host: Address) -> None:
    """Unregister who is gone; jail and slash who has missed too much of the window and is not in jail yet."""
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
    staking.slash(ctx, host, ppm, ctx.height, None, "proofs_missed")
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
    ctx.emit(DemandsFailed(host, datum, failures, parameters.demand_slash_ppm))
    staking.slash(ctx, host, parameters.demand_slash_ppm, ctx.height, None, "demands_failed")


def on_epoch_end(ctx: Context) -> None:
    """Slash who proposed without a beacon link, and take its pay for the epoch. Before rewards are paid."""
    ppm = get_parameters(ctx.state).unrevealed_ppm
    for who, blocks in beacon.list_misses(ctx.state, ctx.epoch):
        ctx.emit(RevealsWithheld(who, ctx.epoch, blocks, ppm))
        staking.slash(ctx, who, ppm, ctx.height, None, "reveals_withheld")
        validators.forfeit(ctx, who)


class GenesisConfig(Record):
    """Nobody has done anything yet."""

    parameters: Parameters


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters; evidence must not outlive the stake that answers for it."""
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
    if max(shares) > PPM or 0 in (parameters.miss_jail_ppm, parameters.offline_epochs):
        raise InvalidChainSpec("offences: shares at most 1000000; misses until jail and offline at least 1")
    PARAMETERS.set(ctx.state, parameters)


def compute_equivocation_slash(ppm_min: Ppm, offenders: int, count: int) -> Ppm:
    """max(min, min((3x/n)^2, 1)): a slip alone costs the minimum, a third of all together everything."""
    return max(ppm_min, min(9 * offenders * offenders * PPM // (count * count), PPM))


def compute_miss_slash(parameters: Parameters, jailings: int) -> Ppm:
    """Doubles with every jailing before, up to the cap."""
    return min(parameters.miss_slash_ppm << jailings, parameters.miss_slash_ppm_max)


def get_parameters(state: StateReader) -> Parameters:
    """What each fault costs."""
    return PARAMETERS.require(state)
