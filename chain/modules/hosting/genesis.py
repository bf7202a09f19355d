"""Hosting: genesis and invariants."""

from chain.content import compute_leaf_count
from chain.errors import InvalidChainSpec
from chain.module import Context
from chain.modules import catalogue
from chain.modules.hosting.calls import RegisterHost, add, register_host
from chain.modules.hosting.layout import list_leaves
from chain.modules.hosting.queries import get_host
from chain.modules.hosting.rows import prepare_rows
from chain.modules.hosting.types import (
    EXTENTS,
    HOLDERS,
    HOLDINGS,
    HOSTS,
    LAYOUTS,
    PARAMETERS,
    PREPARED,
    SUBSET_DATUMS_MAX,
    DatumIds,
    Extent,
    NotHost,
    Parameters,
)
from chain.primitives.codec import Record
from chain.primitives.types import Address
from chain.state import StateReader, encode_key


class GenesisConfig(Record):
    """Hosts at genesis, and what each holds from the first block on, out of the catalogue's genesis."""

    parameters: Parameters
    hosts: tuple[tuple[Address, RegisterHost], ...] = ()
    holdings: tuple[tuple[Address, DatumIds], ...] = ()


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters, register the hosts and what they hold by the functions of the calls."""
    if config.parameters.delay_epochs == 0 or config.parameters.subset_datums_max > SUBSET_DATUMS_MAX:
        raise InvalidChainSpec(
            f"hosting: delay_epochs at least 1, subset_datums_max at most {SUBSET_DATUMS_MAX}"
        )
    PARAMETERS.set(ctx.state, config.parameters)
    for who, call in config.hosts:
        register_host(ctx, who, call)
    for who, datum_ids in config.holdings:
        if get_host(ctx.state, who) is None:
            raise NotHost
        for datum_id in datum_ids:
            add(ctx, who, datum_id, ctx.epoch)
    prepare_rows(ctx, ctx.epoch)


def check_invariants(state: StateReader) -> None:
    """Host totals, the mirror, the catalogue's counts and the rows of leaves agree with the holdings."""
    holders: list[bytes] = []
    for who, host in HOSTS.items(state):
        live = [(key, one) for key, one in HOLDINGS.items(state, who) if HOLDERS.has(state, key, who)]
        holders.extend(key + who for key, _ in live)
        assert host.bytes == sum(holding.size_bytes for _, holding in live)
        assert host.datums == len(live)
        assert all(HOLDINGS.has(state, who, key) for key, _ in live)
    mirrored = [key for key, _ in HOLDERS.items(state)]
    assert sorted(holders) == mirrored
    for datum_id, datum in catalogue.DATUMS.items(state):
        assert datum.holdings == sum(1 for key in mirrored if key.startswith(datum_id))
    extents = [*EXTENTS.items(state), *((who, one) for who, one in PREPARED.items(state) if one.datums)]
    rows = sorted(who + encode_key((extent.from_epoch,)) for who, extent in extents)
    assert rows == [key for key, _ in LAYOUTS.items(state)]
    for who, extent in extents:
        _check_layout(state, who, extent)


def _check_layout(state: StateReader, who: Address, extent: Extent) -> None:
    layout = LAYOUTS.get(state, who, extent.from_epoch)
    assert layout is not None
    row = tuple(list_leaves(layout))
    holdings = {datum_id: HOLDINGS.get(state, who, datum_id) for datum_id, _ in row}
    sizes = {datum_id: holding.size_bytes for datum_id, holding in holdings.items() if holding is not None}
    assert extent == Extent(len(row), sum(sizes.values()), sum(one for _, one in row), extent.from_epoch)
    assert row == tuple((datum_id, compute_leaf_count(size)) for datum_id, size in sorted(sizes.items()))
