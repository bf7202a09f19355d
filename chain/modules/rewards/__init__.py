"""Rewards: the units that each epoch mints, and who gets them.

The emission is a share of the era's supply, for the chain time that has passed. Pools share it:

    hosting     by proven bytes of admitted data: size x pay factor x scarcity x tenure
    uploads     at most 9/10 of what a host's own settled sales burned; the rest goes to hosting
    validators  by power and signed commits, together with the validators' part of slashes
    lockers     the rest, and what hosting leaves: a weighted GiB earns a bounded share of the download price

Minted rewards pass through escrow; the delegators' part of a validator's pay joins their stake. An account
that is in jail or tombstoned at the end of the epoch gets nothing of it; a host that missed the epoch's
proof gets nothing for hosting. A reward that one account loses is not minted and goes to no other: so a host
gains nothing at once by hindering another's proof, and a validator nothing by leaving out another's vote.
The shares of pools that do not exist yet (retrieval, bootstrap) go to lockers, so that inflation is constant.

Rule P: no pool may grow by what a user can buy from itself. Traffic earns less than it burned
(`build_genesis` refuses parameters with which it would not), and takes from the hosting pool no more than
the upload pool.

Invariant: all units that exist beyond genesis were minted here.

Files: types, weights (of each host's bytes), division (of the pool, with a bound by lister), payments (of an
epoch), datum_shares, forecast (what one more GiB would bring), hooks (pay; genesis, invariants).
"""

from chain.modules.rewards.datum_shares import DatumShare, list_datum_shares
from chain.modules.rewards.forecast import forecast_datum, survey
from chain.modules.rewards.hooks import (
    GenesisConfig,
    build_genesis,
    check_invariants,
    get_minted,
    get_parameters,
    on_epoch_end,
    on_era_end,
)
from chain.modules.rewards.payments import explain_host, get_epoch_end_ms, get_era_pay
from chain.modules.rewards.types import MODULE, DatumForecast
