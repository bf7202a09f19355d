"""Possession proofs, checked by sample from headers.

In every epoch each host owes a few leaves, drawn by the beacon, and validators check them. A light client
would have to believe them. Here it draws some of the leaves owed with its own randomness, asks any node for
the transaction that proves each, and checks it again: that the transaction is in a final block of the epoch,
that the leaf is the one that the epoch's seed draws, that it leads to the root of its datum. The state for
this (seed, leaf rows, roots) is read through a `StateReader` of proven values.

Invariants: a node cannot know the draw before it has answered `hosts`. A list of hosts has the right length
and no duplicates; so if a host was left out, another address is in its place, and is found out if it is
drawn. Not here: fetching, proofs of state values (cli.light.sampling).

ChainError
└── NotShown      the answer of a node does not prove the leaf that is owed
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from chain.block import Header
from chain.content import check_leaf
from chain.errors import InvalidProof, InvalidTransaction
from chain.list_tree import ListProof, check_entry
from chain.modules import hosting, possession, system
from chain.primitives.errors import ChainError
from chain.primitives.types import NO_HASH, Address, Epoch, Hash
from chain.runtime import decode_calls
from chain.state import StateReader
from chain.transaction import SignedTransaction

DRAWS = 16


class NotShown(ChainError):
    """The answer does not prove the leaf that is owed."""


class Draw(NamedTuple):
    """One of the leaves that a host owes in the epoch."""

    host: Address
    leaf: int
    """Index among the leaves that the host owes."""


def check_hosts(state: StateReader, epoch: Epoch, hosts: Sequence[Address]) -> None:
    """Raises NotShown unless there are as many different hosts as were judged in the epoch."""
    judgement = possession.get_judgement(state)
    if judgement is None or judgement.epoch != epoch:
        raise NotShown(f"epoch {epoch} is not judged yet")
    if any(left >= right for left, right in pairwise(hosts)):
        raise NotShown("hosts are not strictly ascending")
    if len(hosts) != judgement.hosts:
        raise NotShown(f"{len(hosts)} hosts are named, {judgement.hosts} were judged")


def draw(
    entropy: Hash, epoch: Epoch, hosts: Sequence[Address], leaves: int, count: int = DRAWS
) -> list[Draw]:
    """`count` of all leaves owed, uniformly and with repetition."""
    total = len(hosts) * leaves
    if total == 0:
        return []
    positions = possession.compute_positions(entropy, epoch, NO_HASH, None, count, total)
    return [Draw(hosts[position // leaves], position % leaves) for position in positions]


def has_missed(state: StateReader, host: Address) -> bool:
    """Whether the chain judged that the host missed the epoch."""
    judgement = possession.get_judgement(state)
    assert judgement is not None
    return host in judgement.missed


def check_shown(
    state: StateReader,
    epoch: Epoch,
    drawn: Draw,
    header: Header,
    signed: SignedTransaction,
    inclusion: ListProof,
) -> None:
    """Raises NotShown unless the transaction is in the block of this final header and shows the leaf."""
    try:
        check_entry(header.extrinsics_root, signed.id, inclusion)
    except InvalidProof as error:
        raise NotShown(f"the transaction is not in the block: {error}") from error
    _check_time(state, epoch, header)
    call = _get_call(signed)
    if (call.host, call.epoch, call.demanded) != (drawn.host, epoch, None):
        raise NotShown("the proof of another host or epoch")
    challenges = possession.get_challenges(state, drawn.host, epoch)
    if not drawn.leaf < len(challenges) == len(call.leaves):
        raise NotShown("another number of leaves is owed")
    _check_leaf(state, drawn, challenges[drawn.leaf], call.leaves[drawn.leaf])


def _check_time(state: StateReader, epoch: Epoch, header: Header) -> None:
    round_ = possession.get_round(state)
    if round_ is None or round_.epoch != epoch:
        raise NotShown(f"epoch {epoch} is over")
    first = system.compute_first_height(system.get_parameters(state), epoch)
    if not first <= header.height < round_.deadline:
        raise NotShown(f"height {header.height} is not within the time for proofs")


def _get_call(signed: SignedTransaction) -> possession.Prove:
    try:
        (call,) = decode_calls(signed.transaction)
    except (InvalidTransaction, ValueError) as error:
        raise NotShown("not a transaction of one call") from error
    if not isinstance(call.arguments, possession.Prove):
        raise NotShown("not a proof of possession")
    return call.arguments


def _check_leaf(
    state: StateReader, drawn: Draw, leaf: hosting.DatumLeaf, shown: possession.ProvenLeaf
) -> None:
    holding = hosting.get_holding(state, drawn.host, leaf.datum)
    if holding is None:
        raise NotShown("the host does not hold the datum")
    try:
        check_leaf(holding.root, holding.size_bytes, leaf.leaf_index, shown.leaf, shown.proof)
    except InvalidProof as error:
        raise NotShown(f"the leaf is wrong: {error}") from error
