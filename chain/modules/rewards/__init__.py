"""Rewards: what each epoch mints, and for whom.

The emission is a share of the era's supply, for the chain time that has passed. Pools share it:

    hosting     by proven bytes of admitted data: size x pay factor x scarcity x tenure
    uploads     at most 9/10 of what a host's own settled sales burned; what is left goes to hosting
    validators  by power and signed commits, together with what slashing left for them
    lockers     the rest, and what hosting leaves: a weighted GiB earns a bounded share of the download price

Minted rewards pass through escrow; what delegators get of a validator's pay joins their stake. Who is in
jail or tombstoned at the end of the epoch gets nothing of it, who missed the epoch's proof nothing for
hosting. What one does not get, no other gets: hosts gain nothing at once by hindering another's proof,
validators nothing by leaving out another's vote. It is not minted. The shares of pools that do not exist yet
(retrieval, bootstrap) go to lockers, so that inflation is constant.

Rule P: what a user can buy from himself moves no pool. Traffic earns less than it burned (`build_genesis`
refuses parameters by which it would not), and takes from the hosting pool no more than the upload pool.

Invariant: all units that exist beyond genesis were minted here.

Files: types, payments (pure: what an epoch pays), hooks (pay it; genesis, invariants).
"""

from chain.modules.rewards.hooks import (
    GenesisConfig,
    build_genesis,
    check_invariants,
    get_parameters,
    on_epoch_end,
    on_era_end,
)
from chain.modules.rewards.types import MODULE
