"""Hosting: the row of leaves of each host, written in the epoch before it takes effect.

A holding enters or leaves the next epoch's row at the end of one block. That block has the same position in
its epoch as the block of the call had, so no block does more of this work than one block has registered. At
the start of an epoch the prepared rows only replace the current ones.

A planned change only says that a holding must be examined; its state at that time decides.
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
    """The height with the position of the running block, `epochs` later."""
    return ctx.height + epochs * system.get_parameters(ctx.state).epoch_blocks


def plan_change(ctx: Context, who: Address, datum_id: Hash, epoch: Epoch) -> None:
    """Plan that a holding begins or ends with `epoch`; at genesis that may be the first epoch."""
    height = compute_height_ahead(ctx, max(epoch - ctx.epoch - 1, 0))
    CHANGES.set(ctx.state, True, height, who, datum_id)


def prepare_rows(ctx: Context, epoch: Epoch) -> None:
    """Write the changes planned for this block into the rows of `epoch`."""
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
    """The prepared rows take effect; the rows of hosts that left with the last epoch are deleted."""
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
