"""Hosting: the row of leaves of each host, laid out in the epoch before it counts.

A holding is taken into the next epoch's row, or out of it, at the end of a block: the one that has the same
place in the epoch before it takes effect as the call had in its own. So no block lays out more than a block
has registered, and an epoch begins with little more than a change of names.

A planned change says only that a holding is to be looked at. What became of it since decides.
"""

from chain.content import compute_leaf_count
from chain.module import Context
from chain.modules import system
from chain.modules.hosting.leaf_row import EMPTY_ROW, build_leaf_row, list_leaves
from chain.modules.hosting.queries import get_subset_totals, is_in_effect
from chain.modules.hosting.types import (
    CHANGES,
    HOLDINGS,
    LEAF_ROWS,
    LEAVING,
    NO_TOTALS,
    PREPARED,
    SUBSET_TOTALS,
    SubsetTotals,
)
from chain.primitives.types import HASH_BYTES, Address, Epoch, Hash, Height
from chain.state import Overlay


def compute_height_ahead(ctx: Context, epochs: int) -> Height:
    """The block at the place of this one, so many epochs from now."""
    return ctx.height + epochs * system.get_parameters(ctx.state).epoch_blocks


def plan_change(ctx: Context, who: Address, datum_id: Hash, epoch: Epoch) -> None:
    """A holding begins or ends with an epoch; at genesis that may be the first."""
    height = compute_height_ahead(ctx, max(epoch - ctx.epoch - 1, 0))
    CHANGES.set(ctx.state, True, height, who, datum_id)


def prepare_rows(ctx: Context, epoch: Epoch) -> None:
    """Lay out for an epoch what is planned for this block."""
    datums: dict[Address, list[Hash]] = {}
    for key, _ in list(CHANGES.items(ctx.state, ctx.height)):
        CHANGES.delete(ctx.state, ctx.height, key)
        datums.setdefault(key[:HASH_BYTES], []).append(key[HASH_BYTES:])
    for who, datum_ids in datums.items():  # in the order of the scan
        if not LEAVING.has(ctx.state, who):
            _prepare_row(ctx.state, who, datum_ids, epoch)


def _prepare_row(state: Overlay, who: Address, datum_ids: list[Hash], epoch: Epoch) -> None:
    before = PREPARED.get(state, who) or get_subset_totals(state, who)
    leaves = dict(list_leaves(LEAF_ROWS.get(state, who, before.from_epoch) or EMPTY_ROW))
    held = [(datum_id, HOLDINGS.get(state, who, datum_id)) for datum_id in datum_ids]
    changed = [
        (datum_id, holding)
        for datum_id, holding in held
        if holding is not None and is_in_effect(holding, epoch) != (datum_id in leaves)
    ]
    if not changed:
        return
    size_bytes = before.bytes
    for datum_id, holding in changed:
        if leaves.pop(datum_id, 0):
            size_bytes -= holding.size_bytes
        else:
            leaves[datum_id] = compute_leaf_count(holding.size_bytes)
            size_bytes += holding.size_bytes
    PREPARED.set(state, SubsetTotals(len(leaves), size_bytes, sum(leaves.values()), epoch), who)
    if leaves:
        LEAF_ROWS.set(state, build_leaf_row(sorted(leaves.items())), who, epoch)
    else:
        LEAF_ROWS.delete(state, who, epoch)


def on_epoch_start(ctx: Context) -> None:
    """What was laid out takes effect; nothing does any more of hosts that left with the last epoch."""
    for who, totals in list(PREPARED.items(ctx.state)):
        PREPARED.delete(ctx.state, who)
        _put_row(ctx.state, who, totals)
    for who, from_epoch in list(LEAVING.items(ctx.state)):
        if from_epoch == ctx.epoch:
            _put_row(ctx.state, who, NO_TOTALS)


def _put_row(state: Overlay, who: Address, totals: SubsetTotals) -> None:
    if SUBSET_TOTALS.has(state, who):
        LEAF_ROWS.delete(state, who, get_subset_totals(state, who).from_epoch)
    if totals.datums:
        SUBSET_TOTALS.set(state, totals, who)
    else:
        SUBSET_TOTALS.delete(state, who)
