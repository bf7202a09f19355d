"""Validators: who may stand, who is elected at the end of an era, and which set decides which height.

CURRENT decides this height, PREVIOUS decided the last one, NEXT will decide the next; each block moves them
on by one and rotates proposer priority once. TARGET is where the membership should be; NEXT walks towards
it by at most a third of its power per block, so that a light client that trusts one set can always verify
the next. What block H decides takes effect at H+2.

Elected are the hosts with most stake among those that stand, have their minimum bond, a beacon chain, and
have proven their data in this era; while the catalogue has nothing admitted, bond alone counts. The chain
never elects itself to death: if too few would remain, those who fell out for missing proofs stay for one
more era, unpaid.

Invariants: every set is valid and never empty; a consensus key belongs to one account for ever.
Not here: rewards, slashing, what a proof is.

Files: types, queries, calls, commits, election, sets, genesis (and invariants).
"""

from chain.modules.validators.calls import Validate
from chain.modules.validators.commits import forfeit, process_last_commit
from chain.modules.validators.election import on_era_end, remove
from chain.modules.validators.genesis import GenesisConfig, build_genesis, check_invariants
from chain.modules.validators.queries import (
    get_commission,
    get_current,
    get_members_at,
    get_next,
    get_parameters,
    get_participation,
    get_previous,
    get_stake_behind,
    is_expired,
    is_validator,
)
from chain.modules.validators.sets import on_block_end
from chain.modules.validators.types import CANDIDATES, MODULE, Candidate, Participation
