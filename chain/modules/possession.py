"""Possession: each epoch every host shows leaves that it could not know before, and is judged by it.

A host that holds anything in an epoch owes `leaves_per_epoch` leaves of 1 KiB, drawn uniformly over all leaves it
registered, by a seed that was unknown when its subset became final. Its proofs may come from any key, cost nothing,
and must be in a block below the deadline; at the deadline everybody is judged, proven or missed. A miss costs the
pay of the epoch and lowers the pay factor; maintenance credits, earned by proving, keep it from counting for jail.

A member may pay to demand more leaves of one datum in the next epoch. The host gets the fee if it shows them. It is
at fault if it does not, although it was there and proved the rest; otherwise the fee just returns, for who is
offline is punished as such, and nobody should be paid for watching who goes offline.

Invariants: the pot holds the fees of all demands not yet judged; no window is longer than `window_epochs`.
Not here: jail and slashes (offences), pay (rewards), whether two replicas are two (nothing here can tell).
"""

from typing import Annotated, NamedTuple

from msgspec import Meta

from chain.content import LEAF_BYTES, LeafProof, check_leaf, compute_leaf_count
from chain.errors import DispatchError, InvalidChainSpec, InvalidProof
from chain.module import Context, Module
from chain.modules import balances, beacon, hosting, membership, system
from chain.modules.hosting import Extent, Place
from chain.primitives.codec import Record, replace
from chain.primitives.hashing import Domain, hash_record
from chain.primitives.types import HASH_BYTES, PPM, Address, Amount, Epoch, Hash, Height, Ppm, Uint32
from chain.state import Overlay, StateReader, StorageMap, StorageValue

MODULE = Module("possession", index=9)
POT = balances.compute_pot("possession")

LEAVES_MAX = 16
WINDOW_EPOCHS_MAX = 1024

PROVEN, MISSED, COVERED = b"p", b"m", b"c"
"""What a window says of an epoch: proven; missed; missed, but for jail it does not count."""


class Parameters(Record):
    """How much is asked, until when, and what an answer is worth."""

    leaves_per_epoch: Uint32
    deadline_blocks: Uint32
    """Blocks of an epoch in which proofs are accepted, from its first on; fewer than the epoch has."""
    seed_delay_epochs: Uint32
    """Epoch e is sampled by the seed of e - this; smaller than `delay_epochs` of hosting, see `build_genesis`."""
    window_epochs: Uint32
    pay_floor_ppm: Ppm
    """Share of proven epochs up to which the pay factor is 0."""
    credit_proven_epochs: Uint32
    """Proven epochs that earn one maintenance credit."""
    credits_max: Uint32
    mass_miss_ppm: Ppm
    """If hosts with more than this share of the hosts and of the leaves miss an epoch, it counts for nobody..."""
    mass_miss_hosts_min: Uint32
    """...unless they are fewer than this."""
    demand_fee: Amount
    demand_refund_factor: Uint32
    """A failed demand gives the member this many times the fee: once from the pot, the rest from the host."""
    demands_per_host_max: Uint32
    """In one epoch."""


class Round(Record):
    """The challenge of an epoch: proofs are accepted in blocks below the deadline, which judges."""

    epoch: Epoch
    deadline: Height


class History(Record):
    """How a host did, newest epoch last in the window, one byte for each."""

    window: bytes = b""
    credits: Uint32 = 0
    credit_progress: Uint32 = 0
    """Epochs proven since the last credit."""
    misses_in_row: Uint32 = 0
    last_proven: Epoch | None = None


class Demand(Record):
    """A member's wish to see a datum, paid."""

    member: Address
    fee: Amount


class Failure(Record):
    """A demand that a host failed although it was there; `owed` is what it still has to give the member."""

    host: Address
    datum: Hash
    member: Address
    owed: Amount
    failures: Uint32
    """Of this datum by this host so far."""


class Judgement(Record):
    """The outcome of the last judged epoch, made at `height`."""

    epoch: Epoch
    height: Height
    hosts: Uint32
    missed: tuple[Address, ...]
    is_excused: bool
    failures: tuple[Failure, ...]


class Duty(NamedTuple):
    """What a host can still do in this epoch: show these leaves in a block below the deadline."""

    epoch: Epoch
    deadline: Height
    demanded: Hash | None
    challenges: tuple[Place, ...]


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
ROUND = StorageValue(MODULE.index, 1, Round)
HISTORIES = StorageMap(MODULE.index, 2, History)
DEMANDS = StorageMap(MODULE.index, 3, Demand)
"""(epoch, host, datum), until proven or judged."""
FAILED_DEMANDS = StorageMap(MODULE.index, 4, int)
"""(host, datum) -> demands failed."""
JUDGEMENT = StorageValue(MODULE.index, 5, Judgement)

NEW_HISTORY = History()


@MODULE.event(1)
class Proven(Record):
    """The host has shown the leaves asked for in the epoch."""

    host: Address
    epoch: Epoch
    leaves: Uint32


@MODULE.event(2)
class Missed(Record):
    """The host has not; `misses` of its window count for jail, and this is what its pay factor is now."""

    host: Address
    epoch: Epoch
    is_covered: bool
    credits: Uint32
    misses: Uint32
    pay_factor: Ppm


@MODULE.event(3)
class Judged(Record):
    """`missed` of `hosts` hosts, with so many of the leaves, missed the epoch; excused: it counts for nobody."""

    epoch: Epoch
    hosts: Uint32
    missed: Uint32
    leaves: Annotated[int, Meta(ge=0)]
    leaves_missed: Annotated[int, Meta(ge=0)]
    is_excused: bool


@MODULE.event(4)
class Demanded(Record):
    """A member paid to see leaves of the datum in `epoch`."""

    member: Address
    host: Address
    datum: Hash
    epoch: Epoch
    fee: Amount


@MODULE.event(5)
class DemandProven(Record):
    """The host has shown them and got the fee."""

    host: Address
    datum: Hash
    epoch: Epoch
    fee: Amount


@MODULE.event(6)
class DemandFailed(Record):
    """The host has not, for the so-manieth time; the fee returned, and the host owes so much more."""

    host: Address
    datum: Hash
    epoch: Epoch
    member: Address
    fee: Amount
    owed: Amount
    failures: Uint32


@MODULE.event(7)
class DemandReturned(Record):
    """The demand came to nothing (the host was not there, or the epoch counts for nobody); the fee returned."""

    host: Address
    datum: Hash
    epoch: Epoch
    member: Address
    fee: Amount


@MODULE.error(1)
class RoundClosed(DispatchError):
    """Proofs are for the current epoch, before its deadline."""


@MODULE.error(2)
class NothingAsked(DispatchError):
    """No leaves are asked of the host: it holds nothing, nobody demanded the datum, or it was shown already."""


@MODULE.error(3)
class WrongLeafCount(DispatchError):
    """A proof shows exactly the leaves asked for, in their order."""


@MODULE.error(4)
class ProofRejected(DispatchError):
    """A leaf does not lead to its datum's root at the place asked for."""


@MODULE.error(5)
class AlreadyDemanded(DispatchError):
    """The datum is demanded of this host for the next epoch."""


@MODULE.error(6)
class TooManyDemands(DispatchError):
    """As much as allowed is demanded of this host for the next epoch."""


class ProvenLeaf(Record):
    """The bytes of a leaf, and its way to the root."""

    leaf: Annotated[bytes, Meta(max_length=LEAF_BYTES)]
    proof: LeafProof


class Prove(Record):
    """Show the leaves asked of a host: those of the epoch, or those of a demanded datum."""

    host: Address
    epoch: Epoch
    leaves: Annotated[tuple[ProvenLeaf, ...], Meta(max_length=LEAVES_MAX)]
    demanded: Hash | None = None


class Challenge(Record):
    """Pay to see leaves of a datum that a host says it holds."""

    host: Address
    datum: Hash


def compute_prove_weight(call: Prove) -> int:
    """A fixed part and one per leaf."""
    return 120 + 45 * len(call.leaves)


@MODULE.call(1, Prove, weight=compute_prove_weight, is_duty=True)
def prove(ctx: Context, sender: Address, call: Prove) -> None:
    """Anybody may bring a host's proof. Emits Proven, or DemandProven with the fee going to the host."""
    round_ = get_round(ctx.state)
    if round_ is None or call.epoch != round_.epoch or ctx.height >= round_.deadline:
        raise RoundClosed
    challenges = get_challenges(ctx.state, call.host, call.epoch, call.demanded)
    if not challenges or (call.demanded is None and is_proven(ctx.state, call.host, call.epoch)):
        raise NothingAsked
    if len(call.leaves) != len(challenges):
        raise WrongLeafCount(f"{len(challenges)} are asked for")
    _check_leaves(ctx.state, call.host, challenges, call.leaves)
    if call.demanded is not None:
        _meet_demand(ctx, call.host, call.epoch, call.demanded)
        return
    history = replace(get_record(ctx.state, call.host), last_proven=call.epoch)
    HISTORIES.set(ctx.state, history, call.host)
    ctx.emit(Proven(call.host, call.epoch, len(challenges)))


def _check_leaves(
    state: StateReader, host: Address, challenges: tuple[Place, ...], leaves: tuple[ProvenLeaf, ...]
) -> None:
    for place, shown in zip(challenges, leaves, strict=True):
        holding = hosting.get_holding(state, host, place.datum)
        assert holding is not None
        try:
            check_leaf(holding.root, holding.size_bytes, place.leaf_index, shown.leaf, shown.proof)
        except InvalidProof as error:
            raise ProofRejected(str(error)) from error


def _meet_demand(ctx: Context, host: Address, epoch: Epoch, datum_id: Hash) -> None:
    demand = DEMANDS.get(ctx.state, epoch, host, datum_id)
    assert demand is not None
    DEMANDS.delete(ctx.state, epoch, host, datum_id)
    balances.transfer(ctx, POT, host, demand.fee)
    ctx.emit(DemandProven(host, datum_id, epoch, demand.fee))


@MODULE.call(2, Challenge, weight=150)
def challenge(ctx: Context, sender: Address, call: Challenge) -> None:
    """A member asks a host for leaves of one datum in the next epoch; takes the fee. Emits Demanded."""
    parameters, epoch = get_parameters(ctx.state), ctx.epoch + 1
    if not membership.is_member(ctx.state, sender):
        raise membership.NotMember
    if not hosting.is_holding(ctx.state, call.host, call.datum, epoch):
        raise hosting.NotHeld
    if DEMANDS.has(ctx.state, epoch, call.host, call.datum):
        raise AlreadyDemanded
    if sum(1 for _ in DEMANDS.items(ctx.state, epoch, call.host)) >= parameters.demands_per_host_max:
        raise TooManyDemands
    balances.transfer(ctx, sender, POT, parameters.demand_fee)
    DEMANDS.set(ctx.state, Demand(sender, parameters.demand_fee), epoch, call.host, call.datum)
    ctx.emit(Demanded(sender, call.host, call.datum, epoch, parameters.demand_fee))


def on_epoch_start(ctx: Context) -> None:
    """Open the round of this epoch. What hosts hold is settled until the next: nothing has to be copied."""
    ROUND.set(ctx.state, Round(ctx.epoch, ctx.height + get_parameters(ctx.state).deadline_blocks))


def on_block_start(ctx: Context) -> None:
    """At the deadline, judge everybody who holds something, then the demands."""
    round_ = get_round(ctx.state)
    if round_ is None or ctx.height != round_.deadline:
        return
    extents = tuple(hosting.list_extents(ctx.state))
    missed = tuple(one for one in extents if not is_proven(ctx.state, one[0], round_.epoch))
    is_excused = is_mass_miss(get_parameters(ctx.state), extents, missed)
    if not is_excused:
        for host, _ in extents:
            _judge(ctx, host, round_.epoch)
    failures = _judge_demands(ctx, round_.epoch, is_excused)
    absent = tuple(host for host, _ in missed)
    JUDGEMENT.set(ctx.state, Judgement(round_.epoch, ctx.height, len(extents), absent, is_excused, failures))
    leaves, leaves_missed = _count_leaves(extents), _count_leaves(missed)
    ctx.emit(Judged(round_.epoch, len(extents), len(missed), leaves, leaves_missed, is_excused))


def _judge(ctx: Context, host: Address, epoch: Epoch) -> None:
    parameters, before = get_parameters(ctx.state), get_record(ctx.state, host)
    if before.last_proven == epoch:
        HISTORIES.set(ctx.state, compute_proven(parameters, before), host)
        return
    after = compute_missed(parameters, before)
    HISTORIES.set(ctx.state, after, host)
    is_covered, factor = after.credits < before.credits, compute_pay_factor(parameters, after)
    ctx.emit(Missed(host, epoch, is_covered, after.credits, count_misses(after), factor))


def _judge_demands(ctx: Context, epoch: Epoch, is_excused: bool) -> tuple[Failure, ...]:
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


def _fail(ctx: Context, host: Address, datum_id: Hash, epoch: Epoch, demand: Demand) -> Failure:
    count = get_failed_demands(ctx.state, host, datum_id) + 1
    FAILED_DEMANDS.set(ctx.state, count, host, datum_id)
    owed = demand.fee * (get_parameters(ctx.state).demand_refund_factor - 1)
    ctx.emit(DemandFailed(host, datum_id, epoch, demand.member, demand.fee, owed, count))
    return Failure(host, datum_id, demand.member, owed, count)


def _count_leaves(extents: tuple[tuple[Address, Extent], ...]) -> int:
    return sum(extent.leaves for _, extent in extents)


def restart_window(ctx: Context, host: Address) -> None:
    """The misses so far count for jail no more; the pay factor still knows them."""
    history = get_record(ctx.state, host)
    window = history.window.replace(MISSED, COVERED)
    HISTORIES.set(ctx.state, replace(history, window=window, misses_in_row=0), host)


def clear_failed_demands(state: Overlay, host: Address, datum_id: Hash) -> None:
    """The failures of a datum have been punished."""
    FAILED_DEMANDS.delete(state, host, datum_id)


class GenesisConfig(Record):
    """Possession at genesis: nobody holds anything."""

    parameters: Parameters


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters; raises InvalidChainSpec where they would defeat the purpose.

    What takes effect in epoch e can be registered until the end of e - delay. The seed of e - seed_delay is known
    from the start of that epoch on. So the delay of subsets must be the longer one, or a host that lacks data could
    try subsets until the leaves drawn are among those it has.
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
        or not parameters.demand_refund_factor
    ):
        raise InvalidChainSpec("possession: pay_floor_ppm below 1000000, credits and refunds at least 1")
    PARAMETERS.set(ctx.state, parameters)


def is_mass_miss(
    parameters: Parameters,
    extents: tuple[tuple[Address, Extent], ...],
    missed: tuple[tuple[Address, Extent], ...],
) -> bool:
    """Whether so many missed that the fault is likely the network's.

    By leaves as well as by hosts, so that nobody excuses himself by many hosts that hold next to nothing.
    """
    if len(missed) < parameters.mass_miss_hosts_min:
        return False
    is_mass_of_hosts = len(missed) * PPM > parameters.mass_miss_ppm * len(extents)
    return is_mass_of_hosts and _count_leaves(missed) * PPM > parameters.mass_miss_ppm * _count_leaves(
        extents
    )


def compute_proven(parameters: Parameters, history: History) -> History:
    """The history with one more epoch proven, and every so often a credit."""
    progress, credits_ = history.credit_progress + 1, history.credits
    if progress == parameters.credit_proven_epochs:
        progress, credits_ = 0, min(credits_ + 1, parameters.credits_max)
    return replace(
        history,
        window=_push(parameters, history.window, PROVEN),
        credits=credits_,
        credit_progress=progress,
        misses_in_row=0,
    )


def compute_missed(parameters: Parameters, history: History) -> History:
    """The history with one more epoch missed; a credit is spent if there is one."""
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
    """A' = max(0, (A - floor) / (1 - floor)), rounded down, with A the share of proven epochs in the window."""
    judged, proven = len(history.window), history.window.count(PROVEN)
    above = proven * PPM - judged * parameters.pay_floor_ppm
    return max(above, 0) * PPM // (judged * (PPM - parameters.pay_floor_ppm)) if judged else 0


def compute_positions(
    seed: Hash, epoch: Epoch, host: Address, demanded: Hash | None, count: int, total: int
) -> tuple[int, ...]:
    """`count` independent positions below `total`, each equally likely.

    64-bit words out of a counter; a word above the largest multiple of `total` is passed over (rejection sampling,
    NIST SP 800-90A rev. 1, B.5.1.1), so that no position is favoured.
    """
    bound = 2**64 - 2**64 % total
    positions: list[int] = []
    counter = 0
    while len(positions) < count:
        digest = hash_record(Domain.SAMPLE, (seed, epoch, host, demanded, counter))
        word = int.from_bytes(digest[:8], "big")
        if word < bound:
            positions.append(word % total)
        counter += 1
    return tuple(positions)


def get_parameters(state: StateReader) -> Parameters:
    """How much is asked, until when, and what an answer is worth."""
    return PARAMETERS.require(state)


def get_round(state: StateReader) -> Round | None:
    """The round of this epoch; None before the first block."""
    return ROUND.get(state)


def get_challenges(
    state: StateReader, host: Address, epoch: Epoch, demanded: Hash | None = None
) -> tuple[Place, ...]:
    """The leaves asked of a host in the epoch that runs, whether shown already or not; none for other epochs.

    With `demanded`: those of this datum, as long as a demand for it is open.
    """
    round_ = get_round(state)
    if round_ is None or round_.epoch != epoch:
        return ()
    if demanded is not None:
        return _get_demanded(state, host, epoch, demanded)
    total = hosting.get_extent(state, host).leaves
    if total == 0:
        return ()
    layout = hosting.get_layout(state, host)
    positions = _draw(state, host, epoch, None, total)
    return tuple(hosting.compute_place(layout, position) for position in positions)


def _get_demanded(state: StateReader, host: Address, epoch: Epoch, datum_id: Hash) -> tuple[Place, ...]:
    holding = hosting.get_holding(state, host, datum_id)
    if holding is None or not hosting.is_in_effect(holding, epoch):
        return ()
    if not DEMANDS.has(state, epoch, host, datum_id):
        return ()
    positions = _draw(state, host, epoch, datum_id, compute_leaf_count(holding.size_bytes))
    return tuple(Place(datum_id, position) for position in positions)


def _draw(
    state: StateReader, host: Address, epoch: Epoch, demanded: Hash | None, total: int
) -> tuple[int, ...]:
    parameters = get_parameters(state)
    seed = beacon.get_seed(state, epoch - parameters.seed_delay_epochs)
    return compute_positions(seed, epoch, host, demanded, parameters.leaves_per_epoch, total)


def list_open_duties(state: StateReader, host: Address) -> tuple[Duty, ...]:
    """What a host has still to show in this epoch; for its node, which reads the state after the last block."""
    round_ = get_round(state)
    if round_ is None or system.get_position(state).height + 1 >= round_.deadline:
        return ()
    epoch, deadline = round_.epoch, round_.deadline
    asked: list[Hash | None] = [] if is_proven(state, host, epoch) else [None]
    asked += [datum_id for datum_id, _ in DEMANDS.items(state, epoch, host)]
    duties = (Duty(epoch, deadline, one, get_challenges(state, host, epoch, one)) for one in asked)
    return tuple(duty for duty in duties if duty.challenges)


def get_record(state: StateReader, host: Address) -> History:
    """How a host did."""
    return HISTORIES.get(state, host) or NEW_HISTORY


def is_proven(state: StateReader, host: Address, epoch: Epoch) -> bool:
    """Whether a host has shown the leaves of the latest epoch it was asked in, and that was `epoch`."""
    return get_record(state, host).last_proven == epoch


def get_pay_factor(state: StateReader, host: Address) -> Ppm:
    """Share of full pay that a host's proofs of late have earned it; 0 for one that holds nothing now."""
    if hosting.get_extent(state, host).leaves == 0:
        return 0
    return compute_pay_factor(get_parameters(state), get_record(state, host))


def count_misses(history: History) -> int:
    """Misses of the window that count for jail."""
    return history.window.count(MISSED)


def get_judgement(state: StateReader) -> Judgement | None:
    """The outcome of the last judged epoch."""
    return JUDGEMENT.get(state)


def get_demand(state: StateReader, epoch: Epoch, host: Address, datum_id: Hash) -> Demand | None:
    """An open demand."""
    return DEMANDS.get(state, epoch, host, datum_id)


def get_failed_demands(state: StateReader, host: Address, datum_id: Hash) -> int:
    """How often a host failed a datum on demand since that was last punished."""
    return FAILED_DEMANDS.get(state, host, datum_id) or 0


def check_invariants(state: StateReader) -> None:
    """The pot holds the fees of open demands; windows and credits are within their bounds."""
    parameters = get_parameters(state)
    assert balances.get_balance(state, POT) == sum(demand.fee for _, demand in DEMANDS.items(state))
    for _, history in HISTORIES.items(state):
        assert len(history.window) <= parameters.window_epochs
        assert not history.window.strip(PROVEN + MISSED + COVERED)
        assert history.credits <= parameters.credits_max
        assert history.credit_progress < parameters.credit_proven_epochs
