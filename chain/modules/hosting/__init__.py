"""Hosting: which host holds which datums, its addresses, and the bond behind every registered byte.

A host registers datums of the catalogue; a change made in epoch e takes effect in e + `delay_epochs`, so that
no host can choose its subset after the sampling seed is known. A host cannot register a datum again within
`drop_interval_epochs` of dropping it. Every registered byte needs own bond, committed in `staking` until the
holding is over.

The subset of a host in the current epoch is also kept as one row of leaves, so that a leaf is found by
binary search, however many datums there are. A row is rewritten only when a holding begins or ends, in the
epoch before. Holdings begin and end exactly at epochs; removing ended ones from the totals, which frees
their bond, is spread over the blocks of the epoch after.

Invariants: `Host.bytes` is the sum of the sizes of its counted holdings, which HOLDERS mirrors; a datum's
`holdings` counts its holders; LEAF_ROWS has the holdings in effect, SUBSET_TOTALS the sums over them.
Not here: whether a host really holds what it registered (possession).

Files: types, leaf_row, networks, queries, rows (when they are written), calls, effects (how holdings end,
also for other modules), genesis (and invariants).
"""

from chain.modules.hosting.calls import RegisterHost, RegisterSubset
from chain.modules.hosting.effects import (
    count_proven_era,
    on_block_end,
    on_block_start,
    on_era_paid,
    unregister,
    unregister_all,
)
from chain.modules.hosting.genesis import GenesisConfig, build_genesis, check_invariants
from chain.modules.hosting.leaf_row import DatumLeaf, compute_leaf_at
from chain.modules.hosting.queries import (
    get_holding,
    get_host,
    get_hosts_of,
    get_leaf_row,
    get_next_subset_totals,
    get_parameters,
    get_pledge_per_gib,
    get_subset,
    get_subset_totals,
    is_holding,
    is_operated_by,
    list_subset_totals,
)
from chain.modules.hosting.rows import on_epoch_start
from chain.modules.hosting.types import (
    HOLDERS,
    HOLDINGS,
    HOSTS,
    MODULE,
    SUBSET_TOTALS,
    Host,
    NotHeld,
    SubsetEntry,
    SubsetTotals,
)
