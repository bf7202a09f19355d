"""Hosting: genesis and invariants."""

from chain.content import compute_leaf_count
from chain.errors import InvalidChainSpec
from chain.module import Context
from chain.modules import catalogue
from chain.modules.hosting.calls import RegisterHost, add, register_host
from chain.modules.hosting.leaf_row import list_leaves
from chain.modules.hosting.queries import get_host
from chain.modules.hosting.rows import prepare_rows
from chain.modules.hosting.types import (
    HOLDERS,
    HOLDINGS,
    HOSTS,
    LEAF_ROWS,
    PARAMETERS,
    PLEDGE_PER_GIB,
    PREPARED,
    REGISTERED_BYTES,
    SUBSET_DATUMS_MAX,
    SUBSET_TOTALS,
    DatumIds,
    NotHost,
    Parameters,
    SubsetTotals,
)
from chain.primitives.codec import Record
from chain.primitives.types import Address
from chain.state import StateReader, encode_key


class GenesisConfig(Record):
    """Hosts at genesis, and the listed datums that each holds from the first block on."""

    parameters: Parameters
    hosts: tuple[tuple[Address, RegisterHost], ...] = ()
    holdings: tuple[tuple[Address, DatumIds], ...] = ()


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters; register hosts and holdings with the functions that the calls use."""
    if config.parameters.delay_epochs == 0 or config.parameters.subset_datums_max > SUBSET_DATUMS_MAX:
        raise InvalidChainSpec(
            f"hosting: delay_epochs at least 1, subset_datums_max at most {SUBSET_DATUMS_MAX}"
        )
    if config.parameters.pledge_bytes_min == 0 or config.parameters.pledge_per_gib_min == 0:
        raise InvalidChainSpec("hosting: pledge_bytes_min and pledge_per_gib_min at least 1")
    PARAMETERS.set(ctx.state, config.parameters)
    PLEDGE_PER_GIB.set(ctx.state, config.parameters.pledge_per_gib_min)
    for who, call in config.hosts:
        register_host(ctx, who, call)
    for who, datum_ids in config.holdings:
        if get_host(ctx.state, who) is None:
            raise NotHost
        for datum_id in datum_ids:
            add(ctx, who, datum_id, ctx.epoch)
    prepare_rows(ctx, ctx.epoch)


def check_invariants(state: StateReader) -> None:
    """Host totals, HOLDERS, the catalogue's counts and the leaf rows agree with the holdings."""
    holders: list[bytes] = []
    for who, host in HOSTS.items(state):
        live = [(key, one) for key, one in HOLDINGS.items(state, who) if HOLDERS.has(state, key, who)]
        holders.extend(key + who for key, _ in live)
        assert host.bytes == sum(holding.size_bytes for _, holding in live)
        assert host.datums == len(live)
        assert host.pledged == sum(holding.pledge for _, holding in live)
        assert all(HOLDINGS.has(state, who, key) for key, _ in live)
    registered = sum(host.bytes for _, host in HOSTS.items(state))
    assert (REGISTERED_BYTES.get(state) or 0) == registered
    mirrored = [key for key, _ in HOLDERS.items(state)]
    assert sorted(holders) == mirrored
    for datum_id, datum in catalogue.DATUMS.items(state):
        assert datum.holdings == sum(1 for key in mirrored if key.startswith(datum_id))
    subsets = [*SUBSET_TOTALS.items(state), *((who, one) for who, one in PREPARED.items(state) if one.datums)]
    rows = sorted(who + encode_key((totals.from_epoch,)) for who, totals in subsets)
    assert rows == [key for key, _ in LEAF_ROWS.items(state)]
    for who, totals in subsets:
        _check_leaf_row(state, who, totals)


def _check_leaf_row(state: StateReader, who: Address, totals: SubsetTotals) -> None:
    row = LEAF_ROWS.get(state, who, totals.from_epoch)
    assert row is not None
    leaves = tuple(list_leaves(row))
    holdings = {datum_id: HOLDINGS.get(state, who, datum_id) for datum_id, _ in leaves}
    sizes = {datum_id: holding.size_bytes for datum_id, holding in holdings.items() if holding is not None}
    count = sum(one for _, one in leaves)
    assert totals == SubsetTotals(len(leaves), sum(sizes.values()), count, totals.from_epoch)
    assert leaves == tuple((datum_id, compute_leaf_count(size)) for datum_id, size in sorted(sizes.items()))
