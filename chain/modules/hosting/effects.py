"""Hosting: how holdings begin and end, by the hook of an epoch and for other modules."""

from collections.abc import Iterator
from itertools import islice

from chain.content import compute_leaf_count
from chain.module import Context
from chain.modules import catalogue, staking
from chain.modules.hosting.layout import build_layout, list_leaves
from chain.modules.hosting.queries import get_extent, get_host, get_layout, get_parameters, is_holding
from chain.modules.hosting.types import (
    BEGINNINGS,
    ENDINGS,
    EXTENTS,
    HOLDERS,
    HOLDINGS,
    HOSTS,
    LAYOUTS,
    LEAVING,
    TAKEN_APART_PER_BLOCK_MAX,
    Extent,
    Holding,
    HoldingDropped,
    NotHeld,
    Parameters,
    SubsetDropped,
)
from chain.primitives.codec import replace
from chain.primitives.fixed_point import div_up
from chain.primitives.types import HASH_BYTES, Address, Amount, Epoch, Hash
from chain.state import StorageMap


def drop(ctx: Context, who: Address, datum_id: Hash, until_epoch: Epoch) -> None:
    holding = HOLDINGS.get(ctx.state, who, datum_id)
    if holding is None or holding.until_epoch is not None:
        raise NotHeld
    forgotten_at = max(until_epoch + 1, ctx.epoch + get_parameters(ctx.state).drop_interval_epochs)
    HOLDINGS.set(ctx.state, replace(holding, until_epoch=until_epoch), who, datum_id)
    ENDINGS.set(ctx.state, True, until_epoch, who, datum_id)
    ENDINGS.set(ctx.state, False, forgotten_at, who, datum_id)
    ctx.emit(HoldingDropped(who, datum_id, until_epoch))


def count(ctx: Context, who: Address, size_bytes: int, datums: int) -> None:
    """So much more or less is registered: totals of the host, the committed bond."""
    host = HOSTS.get(ctx.state, who)
    assert host is not None
    host = replace(host, bytes=host.bytes + size_bytes, datums=host.datums + datums)
    HOSTS.set(ctx.state, host, who)
    staking.set_commitment(ctx, who, compute_commitment(get_parameters(ctx.state), host.bytes))


def unregister(ctx: Context, who: Address, datum_id: Hash) -> None:
    """End a holding from the next epoch on, also one that was dropped already; raises NotHeld."""
    holding, following = HOLDINGS.get(ctx.state, who, datum_id), ctx.epoch + 1
    if holding is None:
        raise NotHeld
    if LEAVING.has(ctx.state, who):
        return
    if holding.until_epoch is None:
        drop(ctx, who, datum_id, following)
    elif holding.until_epoch > following:
        HOLDINGS.set(ctx.state, replace(holding, until_epoch=following), who, datum_id)
        ENDINGS.delete(ctx.state, holding.until_epoch, who, datum_id)
        ENDINGS.set(ctx.state, True, following, who, datum_id)
        ctx.emit(HoldingDropped(who, datum_id, following))


def unregister_all(ctx: Context, who: Address) -> None:
    """End all holdings of a host that has gone, from the next epoch on; they are taken apart later."""
    host = get_host(ctx.state, who)
    if host is None or host.datums == 0 or LEAVING.has(ctx.state, who):
        return
    LEAVING.set(ctx.state, ctx.epoch + 1, who)
    ctx.emit(SubsetDropped(who, ctx.epoch + 1))


def on_block_end(ctx: Context) -> None:
    """Take apart what hosts that have left held, a bounded number per block."""
    room = TAKEN_APART_PER_BLOCK_MAX
    for who, from_epoch in list(LEAVING.items(ctx.state)):
        if from_epoch > ctx.epoch:
            continue
        taken = list(islice(HOLDINGS.items(ctx.state, who), room))
        for datum_id, holding in taken:
            _take_off(ctx, who, datum_id, holding)
            HOLDINGS.delete(ctx.state, who, datum_id)
        room -= len(taken)
        if room == 0:
            return
        LEAVING.delete(ctx.state, who)


def on_epoch_start(ctx: Context) -> None:
    """Holdings take effect; those that are over free their bond; old records are forgotten.

    What was planned for a host that has left since may be gone, or another holding: each is looked at anew.
    """
    for who, from_epoch in list(LEAVING.items(ctx.state)):
        if from_epoch == ctx.epoch:
            EXTENTS.delete(ctx.state, who)
            LAYOUTS.delete(ctx.state, who)
    changes: dict[Address, dict[Hash, int]] = {}  # host -> datum -> bytes, 0 for one that is over
    for who, datum_id, _ in _take(ctx, BEGINNINGS):
        holding = HOLDINGS.get(ctx.state, who, datum_id)
        if holding is not None and is_holding(ctx.state, who, datum_id, ctx.epoch):
            changes.setdefault(who, {})[datum_id] = holding.size_bytes
    for who, datum_id, is_over in _take(ctx, ENDINGS):
        holding = HOLDINGS.get(ctx.state, who, datum_id)
        if holding is None or holding.until_epoch is None or holding.until_epoch > ctx.epoch:
            continue
        if is_over:
            _take_off(ctx, who, datum_id, holding)
            changes.setdefault(who, {})[datum_id] = 0
        elif not HOLDERS.has(ctx.state, datum_id, who):
            HOLDINGS.delete(ctx.state, who, datum_id)
    for who, sizes in changes.items():  # in the order of the scans
        _lay_out(ctx, who, sizes)


def _take(ctx: Context, plan: StorageMap[bool]) -> Iterator[tuple[Address, Hash, bool]]:
    """Remove and give what was planned for this epoch: (host, datum, value)."""
    for rest, value in list(plan.items(ctx.state, ctx.epoch)):
        plan.delete(ctx.state, ctx.epoch, rest)
        yield rest[:HASH_BYTES], rest[HASH_BYTES:], value


def _take_off(ctx: Context, who: Address, datum_id: Hash, holding: Holding) -> None:
    """A holding that is over counts no more and frees its bond."""
    if HOLDERS.has(ctx.state, datum_id, who):
        HOLDERS.delete(ctx.state, datum_id, who)
        catalogue.count_holding(ctx, datum_id, -1)
        count(ctx, who, -holding.size_bytes, -1)


def _lay_out(ctx: Context, who: Address, sizes: dict[Hash, int]) -> None:
    """Rewrite a host's row of leaves with some datums more and some less."""
    extent = get_extent(ctx.state, who)
    leaves = dict(list_leaves(get_layout(ctx.state, who)))
    size_bytes = extent.bytes
    for datum_id, size in sizes.items():
        if size:
            leaves[datum_id] = compute_leaf_count(size)
            size_bytes += size
        elif leaves.pop(datum_id, 0):
            holding = HOLDINGS.get(ctx.state, who, datum_id)
            assert holding is not None
            size_bytes -= holding.size_bytes
    if not leaves:
        EXTENTS.delete(ctx.state, who)
        LAYOUTS.delete(ctx.state, who)
        return
    EXTENTS.set(ctx.state, Extent(len(leaves), size_bytes, sum(leaves.values())), who)
    LAYOUTS.set(ctx.state, build_layout(sorted(leaves.items())), who)


def compute_commitment(parameters: Parameters, size_bytes: int) -> Amount:
    """Own bond that so many bytes need, rounded up."""
    return div_up(size_bytes * parameters.bond_per_gib, catalogue.GIB)
