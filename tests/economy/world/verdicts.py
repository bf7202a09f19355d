"""Challenges in the arena, and jurors that say what they are told to."""

from collections.abc import Callable

from chain.modules.juries import (
    ChallengeDatum,
    CommitVerdict,
    RevealVerdict,
    compute_commitment,
    get_case,
    list_seats,
)
from chain.modules.juries.types import CaseOpened
from chain.primitives.types import Address, Hash
from tests.economy.world.arena import Arena

SALT = bytes(32)


def challenge(arena: Arena, who: Address, datum: Hash) -> int:
    """Challenge a datum; returns the number of the case."""
    events = arena.call(who, ChallengeDatum(datum))
    return next(event.case for event in events if isinstance(event, CaseOpened))


def vote(arena: Arena, case: int, decide: Callable[[Address], bool]) -> None:
    """Every juror of an open case commits or reveals, whichever is due; `decide` says who calls it junk."""
    if get_case(arena.state, case) is None:
        return
    for juror, _ in list_seats(arena.state, case):
        is_junk = decide(juror)
        commitment = compute_commitment(arena.genesis_hash, case, juror, is_junk, SALT)
        if not arena.attempt(juror, CommitVerdict(case, commitment)):
            arena.attempt(juror, RevealVerdict(case, is_junk, SALT))
