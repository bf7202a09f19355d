"""Juries: people drawn by lot decide whether a challenged datum is junk.

Anybody may challenge a datum that is sponsored or admitted, for a bond. Two epochs later the beacon draws a
jury out of the members who have locked a bond as jurors for long enough, by bond; while too few qualify, out
of the validators. Jurors first commit to a hash of their verdict, then reveal it, so that none can follow the
others. The majority of those who revealed decides. Of the loser's bond (the challenger's, or all bonds of the
sponsors) the winner and the jurors who voted get their shares, and the rest is burned. A juror that reveals
nothing loses a share of its own bond. If neither side has a majority, nobody else loses a bond.

A datum found to be junk earns nothing any more, and what its hosts have withheld of the pay for it is burned:
escrow keeps a sum per host and era, so the share is that of the datum in the host's hosting weight at the end
of the epoch of the challenge, taken of all hosting pay withheld since the host holds the datum.

The bond of jurors is their own, apart from stake: whoever is drawn has asked for it, and a fine for silence
touches neither the safety of consensus nor the bytes a host has pledged for. Its age counts from the last
increase.

Invariants: the pot holds the bonds of jurors and of open cases; every open case waits for exactly one epoch.

Files: types, queries, drawing, calls, deciding (hooks), genesis (and invariants).
"""

from chain.modules.juries.calls import (
    ChallengeDatum,
    CommitVerdict,
    RetireAsJuror,
    RevealVerdict,
    ServeAsJuror,
)
from chain.modules.juries.deciding import on_epoch_end, on_epoch_start
from chain.modules.juries.genesis import GenesisConfig, build_genesis, check_invariants
from chain.modules.juries.queries import (
    compute_challenge_bond,
    compute_commitment,
    compute_decided_in,
    compute_reveals_from,
    get_case,
    get_case_count,
    get_juror,
    get_parameters,
    get_seat,
    list_seats,
)
from chain.modules.juries.types import MODULE, Case, CaseDecided, CaseOpened, JuryDrawn, Parameters
