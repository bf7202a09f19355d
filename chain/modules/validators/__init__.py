"""Validators: candidates, the election at the end of an era, and the set that decides each height.

CURRENT decides this height, PREVIOUS decided the last one, NEXT will decide the next; each block moves them
on by one and rotates the proposer priority once. TARGET is the elected membership. NEXT approaches it by at
most a third of its power per block, so that a light client that trusts one set can always verify the next. A
change made in block H takes effect at H + 2.

The hosts with most stake are elected among the candidates that have the minimum bond and a beacon chain, and
have proven their data in this era; while no datum is admitted, proofs are not needed. The set never gets too
small to go on: if too few candidates qualify, members that only miss proofs stay for one more era, unpaid.

Invariants: every set is valid and never empty; a consensus key belongs to one account forever.
Not here: rewards, slashes, possession proofs.

Files: types, queries, candidacy, calls, commits, election, sets, genesis (and invariants).
"""

from chain.modules.validators.candidacy import Validate, sign_candidacy
from chain.modules.validators.commits import forfeit, process_last_commit
from chain.modules.validators.election import end_candidacy, on_era_end, remove
from chain.modules.validators.genesis import GenesisConfig, build_genesis, check_invariants
from chain.modules.validators.queries import (
    get_candidate,
    get_commission,
    get_current,
    get_elected_stake,
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
