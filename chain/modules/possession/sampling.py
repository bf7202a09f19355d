"""Possession: the leaves that a host owes."""

from chain.content import compute_leaf_count
from chain.modules import beacon, hosting, system
from chain.modules.hosting import DatumLeaf, SubsetTotals
from chain.modules.possession.history import get_parameters, get_round, is_proven
from chain.modules.possession.types import DEMANDS, Duty
from chain.primitives.hashing import Domain, hash_record
from chain.primitives.types import Address, Epoch, Hash
from chain.primitives.uniform import reduce_word
from chain.state import StateReader

WORD_BYTES = 8


def compute_positions(
    seed: Hash, epoch: Epoch, host: Address, demanded: Hash | None, count: int, total: int
) -> tuple[int, ...]:
    """`count` independent positions below `total`, uniformly distributed.

    Each counter value gives a 64-bit word; no position is more likely (`uniform`).
    """
    positions: list[int] = []
    counter = 0
    while len(positions) < count:
        digest = hash_record(Domain.SAMPLE, (seed, epoch, host, demanded, counter))
        position = reduce_word(digest[:WORD_BYTES], total)
        if position is not None:
            positions.append(position)
        counter += 1
    return tuple(positions)


def get_challenges(
    state: StateReader, host: Address, epoch: Epoch, demanded: Hash | None = None
) -> tuple[DatumLeaf, ...]:
    """The leaves that a host owes in the current epoch, proven already or not; empty for other epochs.

    With `demanded`: the leaves of this datum, while a demand for it is open.
    """
    round_ = get_round(state)
    if round_ is None or round_.epoch != epoch:
        return ()
    if demanded is not None:
        return get_demanded(state, host, epoch, demanded)
    return draw_leaves(state, host, epoch, hosting.get_subset_totals(state, host))


def draw_leaves(
    state: StateReader, host: Address, epoch: Epoch, totals: SubsetTotals
) -> tuple[DatumLeaf, ...]:
    """The leaves of the epoch's challenge; the seed of the epoch is sealed, `totals` are the host's in it."""
    if totals.leaves == 0:
        return ()
    row = hosting.get_leaf_row(state, host, totals)
    positions = _draw(state, host, epoch, None, totals.leaves)
    return tuple(hosting.compute_leaf_at(row, position) for position in positions)


def get_demanded(state: StateReader, host: Address, epoch: Epoch, datum_id: Hash) -> tuple[DatumLeaf, ...]:
    """The leaves of an open demand for a datum; the seed of the epoch is sealed."""
    holding = hosting.get_holding(state, host, datum_id)
    if holding is None or not hosting.is_holding(state, host, datum_id, epoch):
        return ()
    if not DEMANDS.has(state, epoch, host, datum_id):
        return ()
    positions = _draw(state, host, epoch, datum_id, compute_leaf_count(holding.size_bytes))
    return tuple(DatumLeaf(datum_id, position) for position in positions)


def _draw(
    state: StateReader, host: Address, epoch: Epoch, demanded: Hash | None, total: int
) -> tuple[int, ...]:
    count = get_parameters(state).leaves_per_epoch
    return compute_positions(beacon.get_seed(state, epoch), epoch, host, demanded, count, total)


def list_open_duties(state: StateReader, host: Address) -> tuple[Duty, ...]:
    """The proofs that a host still owes in this epoch, by the state after the last block; for its node."""
    round_ = get_round(state)
    if round_ is None or system.get_position(state).height + 1 >= round_.deadline:
        return ()
    epoch, deadline = round_.epoch, round_.deadline
    asked: list[Hash | None] = [] if is_proven(state, host, epoch) else [None]
    asked += [datum_id for datum_id, _ in DEMANDS.items(state, epoch, host)]
    duties = (Duty(epoch, deadline, one, get_challenges(state, host, epoch, one)) for one in asked)
    return tuple(duty for duty in duties if duty.challenges)
