"""Possession: the calls that bring proofs and demands."""

from typing import Annotated

from msgspec import Meta

from chain.content import LEAF_BYTES, LeafProof, check_leaf
from chain.errors import InvalidProof
from chain.module import Context
from chain.modules import balances, hosting, membership
from chain.modules.hosting import DatumLeaf
from chain.modules.possession.history import get_parameters, get_record, get_round, is_proven
from chain.modules.possession.sampling import get_challenges
from chain.modules.possession.types import (
    DEMANDS,
    HISTORIES,
    LEAVES_MAX,
    MODULE,
    POT,
    AlreadyDemanded,
    Demand,
    Demanded,
    DemandProven,
    NothingAsked,
    ProofRejected,
    Proven,
    RoundClosed,
    TooManyDemands,
    WrongLeafCount,
)
from chain.primitives.codec import Record, replace
from chain.primitives.types import Address, Epoch, Hash
from chain.state import StateReader


class ProvenLeaf(Record):
    """The bytes of a leaf, and its Merkle proof."""

    leaf: Annotated[bytes, Meta(max_length=LEAF_BYTES)]
    proof: LeafProof


class Prove(Record):
    """Prove possession of the leaves that a host owes: those of the epoch, or those of a demanded datum."""

    host: Address
    epoch: Epoch
    leaves: Annotated[tuple[ProvenLeaf, ...], Meta(max_length=LEAVES_MAX)]
    demanded: Hash | None = None


class Challenge(Record):
    """Pay for a proof of leaves of a datum that a host has registered."""

    host: Address
    datum: Hash


def compute_prove_weight(call: Prove) -> int:
    """A fixed part and one per leaf."""
    return 120 + 25 * len(call.leaves)


@MODULE.call(1, Prove, weight=compute_prove_weight, is_duty=True)
def prove(ctx: Context, sender: Address, call: Prove) -> None:
    """Open to any account. Emits Proven; for a demand DemandProven, whose fee is burned."""
    round_ = get_round(ctx.state)
    if round_ is None or call.epoch != round_.epoch or ctx.height >= round_.deadline:
        raise RoundClosed
    challenges = get_challenges(ctx.state, call.host, call.epoch, call.demanded)
    if not challenges or (call.demanded is None and is_proven(ctx.state, call.host, call.epoch)):
        raise NothingAsked
    if len(call.leaves) != len(challenges):
        raise WrongLeafCount(f"{len(challenges)} leaves are owed")
    _check_leaves(ctx.state, call.host, challenges, call.leaves)
    if call.demanded is not None:
        _meet_demand(ctx, call.host, call.epoch, call.demanded)
        return
    history = replace(get_record(ctx.state, call.host), last_proven=call.epoch)
    HISTORIES.set(ctx.state, history, call.host)
    ctx.emit(Proven(call.host, call.epoch, len(challenges)))


def _check_leaves(
    state: StateReader, host: Address, challenges: tuple[DatumLeaf, ...], leaves: tuple[ProvenLeaf, ...]
) -> None:
    for leaf, shown in zip(challenges, leaves, strict=True):
        holding = hosting.get_holding(state, host, leaf.datum)
        assert holding is not None
        try:
            check_leaf(holding.root, holding.size_bytes, leaf.leaf_index, shown.leaf, shown.proof)
        except InvalidProof as error:
            raise ProofRejected(str(error)) from error


def _meet_demand(ctx: Context, host: Address, epoch: Epoch, datum_id: Hash) -> None:
    demand = DEMANDS.get(ctx.state, epoch, host, datum_id)
    assert demand is not None
    DEMANDS.delete(ctx.state, epoch, host, datum_id)
    balances.burn(ctx, POT, demand.fee, balances.BurnCause.DEMANDS)
    ctx.emit(DemandProven(host, datum_id, epoch, demand.fee))


@MODULE.call(2, Challenge, weight=140)
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
