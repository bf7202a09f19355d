"""Hosting: who holds what, where to reach him, and the bond behind every registered byte.

A host registers datums of the catalogue; a change made in epoch e takes effect in e + `delay_epochs`, so that
nobody can pick his subset after the sampling seed is known. A datum that was dropped can not be registered
again by the same host within `drop_interval_epochs`. Every registered byte needs own bond, committed in
`staking` until the byte is out of effect.

What a host holds in this epoch is also kept as one row of leaves, so that a leaf is found by binary search
however many datums there are. A row is rewritten only when a holding begins or ends, in the epoch before it
counts. When holdings take effect is exact; when they come off the books, and free their bond, is spread over
the blocks of the epoch in which they are over.

Invariants: `Host.bytes` is the sum of the sizes of his holdings that are on the books, which HOLDERS mirrors;
a datum's `holdings` count is the number of its holders; layouts hold what is in effect, EXTENTS their sums.
Not here: whether a host really holds what it registered (possession).

Files: types, layout (a row of leaves), queries, rows (when they are laid out), calls, effects (how holdings
end, also for other modules), genesis (and invariants).
"""

from chain.modules.hosting.calls import (
    RegisterHost,
    RegisterSubset,
    compute_subset_weight,
    register_host,
    register_subset,
)
from chain.modules.hosting.effects import (
    compute_commitment,
    on_block_end,
    on_block_start,
    unregister,
    unregister_all,
)
from chain.modules.hosting.genesis import GenesisConfig, build_genesis, check_invariants
from chain.modules.hosting.layout import EMPTY_LAYOUT, Layout, Place, build_layout, compute_place, list_leaves
from chain.modules.hosting.queries import (
    get_extent,
    get_holding,
    get_host,
    get_hosted_bytes,
    get_hosts_of,
    get_layout,
    get_parameters,
    get_subset,
    has_left,
    is_holding,
    is_in_effect,
    list_extents,
    list_hosts,
)
from chain.modules.hosting.rows import on_epoch_start
from chain.modules.hosting.types import (
    ADDRESSES_MAX,
    CHANGES,
    CHANGES_MAX,
    ENDINGS,
    EXTENTS,
    HOLDERS,
    HOLDINGS,
    HOSTS,
    LAYOUTS,
    LEAVING,
    MODULE,
    NOTHING,
    PARAMETERS,
    PREPARED,
    SUBSET_DATUMS_MAX,
    TAKEN_APART_PER_BLOCK_MAX,
    AlreadyHeld,
    DatumIds,
    Excluded,
    Extent,
    Held,
    Holding,
    HoldingDropped,
    HoldingRegistered,
    Host,
    HostRegistered,
    NetworkAddress,
    NetworkAddresses,
    NotHeld,
    NothingToChange,
    NotHost,
    Parameters,
    StillLeaving,
    SubsetDropped,
    TooManyDatums,
    UncoveredBytes,
)

__all__ = [
    "ADDRESSES_MAX",
    "CHANGES",
    "CHANGES_MAX",
    "EMPTY_LAYOUT",
    "ENDINGS",
    "EXTENTS",
    "HOLDERS",
    "HOLDINGS",
    "HOSTS",
    "LAYOUTS",
    "LEAVING",
    "MODULE",
    "NOTHING",
    "PARAMETERS",
    "PREPARED",
    "SUBSET_DATUMS_MAX",
    "TAKEN_APART_PER_BLOCK_MAX",
    "AlreadyHeld",
    "DatumIds",
    "Excluded",
    "Extent",
    "GenesisConfig",
    "Held",
    "Holding",
    "HoldingDropped",
    "HoldingRegistered",
    "Host",
    "HostRegistered",
    "Layout",
    "NetworkAddress",
    "NetworkAddresses",
    "NotHeld",
    "NotHost",
    "NothingToChange",
    "Parameters",
    "Place",
    "RegisterHost",
    "RegisterSubset",
    "StillLeaving",
    "SubsetDropped",
    "TooManyDatums",
    "UncoveredBytes",
    "build_genesis",
    "build_layout",
    "check_invariants",
    "compute_commitment",
    "compute_place",
    "compute_subset_weight",
    "get_extent",
    "get_holding",
    "get_host",
    "get_hosted_bytes",
    "get_hosts_of",
    "get_layout",
    "get_parameters",
    "get_subset",
    "has_left",
    "is_holding",
    "is_in_effect",
    "list_extents",
    "list_hosts",
    "list_leaves",
    "on_block_end",
    "on_block_start",
    "on_epoch_start",
    "register_host",
    "register_subset",
    "unregister",
    "unregister_all",
]
