"""Possession: each epoch every host shows leaves that it could not foresee, and is judged by it.

A host that holds anything in an epoch owes `leaves_per_epoch` leaves of 1 KiB, drawn uniformly over all that
it registered, by a seed that was unknown when its subset became final. Its proofs may come from any key, cost
nothing, and must be in a block below the deadline; there everybody is judged, proven or missed. A miss costs
the pay of the epoch and lowers the pay factor; maintenance credits, earned by proving, keep it from counting
for jail.

A member may pay to demand more leaves of one datum in the next epoch. The host gets the fee if it shows them.
It is at fault if it does not, although it was there and proved the rest; otherwise the fee just returns: who
is offline is punished as such, and nobody should be paid for watching who goes offline.

Invariants: the pot holds the fees of all demands not yet judged; no window is longer than `window_epochs`.
Not here: jail and slashes (offences), pay (rewards), whether two replicas are two (nothing here can tell).

Files: types, history (how a host did), sampling (what is asked), calls, judging (hooks), genesis (and
invariants).
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
    is_proven,
)
from chain.modules.possession.judging import (
    clear_failed_demands,
    on_block_start,
    on_epoch_start,
    restart_window,
)
from chain.modules.possession.sampling import compute_positions, get_challenges, list_open_duties
from chain.modules.possession.types import MODULE, Duty, Missed, Proven
