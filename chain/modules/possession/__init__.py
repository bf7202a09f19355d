"""Possession: in each epoch every host proves that it has leaves which it could not foresee.

A host that holds anything in an epoch owes `leaves_per_epoch` leaves of 1 KiB, drawn uniformly over all that
it registered, by a seed that was unknown when its subset became final. Its proofs may come from any key, cost
nothing, and must be in a block below the deadline, where every host is judged: proven or missed. A miss
costs the pay of the epoch and lowers the pay factor; a maintenance credit, earned by proving, keeps it from
counting for jail. If many hosts miss the same epoch, the network is likely at fault: a few such epochs of an
era are excused. An excused miss is not punished and not paid.

A host has *proven* an era if it proved most of its epochs while holding enough bytes. Elections, the withheld
share of rewards, and the tenure of a holding count proven eras.

A member may pay to demand more leaves of one datum in the next epoch. The host gets the fee if it shows
them. It is at fault if it does not but proved its epoch otherwise. If it proved nothing, the fee just
returns: a host that is offline is punished for its miss, and nobody should be paid for watching which hosts
go offline.

Invariants: the pot holds the fees of all demands not yet judged; no window is longer than `window_epochs`.
Not here: jail and slashes (offences), pay (rewards). Not shown: that two hosts of a datum keep two copies.

Files: types, history (of a host's proofs), sampling (the leaves owed), sales (which chunks honest hosts do
not sell), standing (of a validator in the era), calls, judging (hooks), genesis (and invariants).
"""

from chain.modules.possession.calls import Prove, ProvenLeaf
from chain.modules.possession.genesis import GenesisConfig, build_genesis, check_invariants
from chain.modules.possession.history import (
    count_misses,
    get_judgement,
    get_parameters,
    get_pay_factor,
    get_record,
    get_round,
    has_proven_era,
    is_proven,
)
from chain.modules.possession.judging import (
    clear_failed_demands,
    on_block_start,
    on_epoch_start,
    on_era_end,
    restart_window,
)
from chain.modules.possession.sales import SalesHold, get_sales_hold
from chain.modules.possession.sampling import compute_positions, get_challenges, list_open_duties
from chain.modules.possession.standing import EraStanding, get_era_standing
from chain.modules.possession.types import MODULE, Duty, Missed, Proven
