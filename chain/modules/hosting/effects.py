"""Hosting: how holdings end, by the hooks of a block and for other modules."""

from itertools import islice

from chain.module import Context
from chain.modules import catalogue, staking
from chain.modules.hosting.queries import compute_pledge_step, get_host, get_parameters
from chain.modules.hosting.rows import compute_height_ahead, plan_change, prepare_rows
from chain.modules.hosting.types import (
    ENDINGS,
    HOLDERS,
    HOLDINGS,
    HOSTS,
    LEAVING,
    PLEDGE_PER_GIB,
    REGISTERED_BYTES,
    TAKEN_APART_PER_BLOCK_MAX,
    Holding,
    HoldingDropped,
    NotHeld,
    SubsetDropped,
)
from chain.primitives.codec import replace
from chain.primitives.types import HASH_BYTES, Address, Amount, Epoch, Hash

COVERED_DATUMS_MAX = 64
"""Holdings of one host that a block looks at for a fallen bond."""


def drop(ctx: Context, who: Address, datum_id: Hash, until_epoch: Epoch) -> None:
    holding = HOLDINGS.get(ctx.state, who, datum_id)
    if holding is None or holding.until_epoch is not None:
        raise NotHeld
    wait = max(until_epoch - ctx.epoch + 1, get_parameters(ctx.state).drop_interval_epochs)
    ENDINGS.set(ctx.state, False, compute_height_ahead(ctx, wait), who, datum_id)
    _end(ctx, who, datum_id, replace(holding, until_epoch=until_epoch))


def _end(ctx: Context, who: Address, datum_id: Hash, holding: Holding) -> None:
    """Store a holding that now has an end, and plan its removal."""
    assert holding.until_epoch is not None
    HOLDINGS.set(ctx.state, holding, who, datum_id)
    ENDINGS.set(ctx.state, True, compute_height_ahead(ctx, holding.until_epoch - ctx.epoch), who, datum_id)
    plan_change(ctx, who, datum_id, holding.until_epoch)
    ctx.emit(HoldingDropped(who, datum_id, holding.until_epoch))


def count(ctx: Context, who: Address, holding: Holding, change: int) -> None:
    """Add a holding to the totals (`change` 1) or take it off (-1), and adjust the host's committed bond."""
    host = HOSTS.get(ctx.state, who)
    assert host is not None
    size_bytes = change * holding.size_bytes
    host = replace(
        host,
        bytes=host.bytes + size_bytes,
        datums=host.datums + change,
        pledged=host.pledged + change * holding.pledge,
    )
    HOSTS.set(ctx.state, host, who)
    REGISTERED_BYTES.set(ctx.state, (REGISTERED_BYTES.get(ctx.state) or 0) + size_bytes)
    staking.set_commitment(ctx, who, host.pledged)


def on_era_paid(ctx: Context, pay_per_gib: Amount) -> None:
    """`rewards` says what a hosted GiB earned in this era: the first part of pledges follows it."""
    before = PLEDGE_PER_GIB.require(ctx.state)
    PLEDGE_PER_GIB.set(ctx.state, compute_pledge_step(get_parameters(ctx.state), before, pay_per_gib))


def cover(ctx: Context, who: Address) -> None:
    """Unregister holdings of a host whose bond is smaller than its pledges, until it covers the rest.

    They end with this epoch. In the order of datums; where that would be many, all of them end.
    """
    host, bond = get_host(ctx.state, who), staking.get_bond(ctx.state, who)
    if host is None or host.pledged <= bond or LEAVING.has(ctx.state, who):
        return
    missing = host.pledged - bond
    holdings = list(islice(HOLDINGS.items(ctx.state, who), COVERED_DATUMS_MAX))
    counted = [(datum_id, one) for datum_id, one in holdings if HOLDERS.has(ctx.state, datum_id, who)]
    for datum_id, holding in counted:
        if missing <= 0:
            return
        unregister(ctx, who, datum_id)
        missing -= holding.pledge
    if missing > 0:
        unregister_all(ctx, who)


def count_proven_era(ctx: Context, who: Address) -> None:
    """`possession` says that a host has proven one more era."""
    host = HOSTS.get(ctx.state, who)
    assert host is not None
    HOSTS.set(ctx.state, replace(host, proven_eras=host.proven_eras + 1), who)


def unregister(ctx: Context, who: Address, datum_id: Hash) -> None:
    """End a holding with this epoch, also one that was dropped already; raises NotHeld."""
    holding, following = HOLDINGS.get(ctx.state, who, datum_id), ctx.epoch + 1
    if holding is None:
        raise NotHeld
    if LEAVING.has(ctx.state, who):
        return
    if holding.until_epoch is None:
        drop(ctx, who, datum_id, following)
    elif holding.until_epoch > following:
        _end(ctx, who, datum_id, replace(holding, until_epoch=following))


def unregister_all(ctx: Context, who: Address) -> None:
    """End all holdings of a host with this epoch; they are removed over later blocks."""
    host = get_host(ctx.state, who)
    if host is None or host.datums == 0 or LEAVING.has(ctx.state, who):
        return
    LEAVING.set(ctx.state, ctx.epoch + 1, who)
    ctx.emit(SubsetDropped(who, ctx.epoch + 1))


def on_block_start(ctx: Context) -> None:
    """Remove ended holdings from the totals, or delete them, as planned for this block.

    A planned entry only says that a holding must be examined: if its host has left since, the holding may be
    gone, or be a new one.
    """
    for key, is_over in list(ENDINGS.items(ctx.state, ctx.height)):
        ENDINGS.delete(ctx.state, ctx.height, key)
        who, datum_id = key[:HASH_BYTES], key[HASH_BYTES:]
        holding = HOLDINGS.get(ctx.state, who, datum_id)
        if holding is None or holding.until_epoch is None or holding.until_epoch > ctx.epoch:
            continue
        if is_over:
            _take_off(ctx, who, datum_id, holding)
        elif not HOLDERS.has(ctx.state, datum_id, who):
            HOLDINGS.delete(ctx.state, who, datum_id)


def _take_off(ctx: Context, who: Address, datum_id: Hash, holding: Holding) -> None:
    """Remove an ended holding from the totals, which frees its bond."""
    if HOLDERS.has(ctx.state, datum_id, who):
        HOLDERS.delete(ctx.state, datum_id, who)
        catalogue.count_holding(ctx, datum_id, -1)
        count(ctx, who, holding, -1)


def on_block_end(ctx: Context) -> None:
    """Unregister what fallen bonds do not cover; write rows of the next epoch; end what left hosts held."""
    for who in staking.list_fallen(ctx.state):
        cover(ctx, who)
    prepare_rows(ctx, ctx.epoch + 1)
    _take_apart(ctx)


def _take_apart(ctx: Context) -> None:
    """Remove a bounded number of holdings of hosts without any holding in effect."""
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
