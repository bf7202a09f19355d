"""Juries: who can be drawn, and the draw by weight."""

from bisect import bisect_right
from itertools import accumulate
from typing import NamedTuple

from chain.modules import catalogue, membership, validators
from chain.modules.juries.types import JURORS, PARAMETERS, Case
from chain.primitives.hashing import Domain, hash_record
from chain.primitives.types import Address, Era, Hash, Uint
from chain.primitives.uniform import reduce_word
from chain.state import StateReader

WORD_BYTES = 16


class Candidates(NamedTuple):
    """(account, weight) of those that can be drawn, in the order of accounts."""

    weighted: tuple[tuple[Address, Uint], ...]
    are_validators: bool


def list_candidates(state: StateReader, era: Era) -> Candidates:
    """Members whose bond as jurors is old enough, by bond; validators by power while those are too few.

    Reads every juror: once in an epoch in which a jury is drawn, whatever the number of cases.
    """
    parameters = PARAMETERS.require(state)
    jurors = tuple(
        (who, juror.amount)
        for who, juror in JURORS.items(state)
        if juror.since_era + parameters.juror_eras < era and membership.is_member(state, who)
    )
    if len(jurors) >= parameters.jurors_min:
        return Candidates(jurors, are_validators=False)
    members = validators.get_current(state).validators
    return Candidates(tuple(sorted((one.address, one.power) for one in members)), are_validators=True)


def exclude_parties(state: StateReader, case: Case, candidates: Candidates) -> Candidates:
    """Without the challenger, the lister and the sponsors, who have money in the case."""
    datum = catalogue.get_datum(state, case.datum)
    assert datum is not None
    sponsors = [who for who, _ in catalogue.list_sponsorships(state, case.datum)]
    parties = frozenset((case.challenger, datum.lister, *sponsors))
    left = tuple(one for one in candidates.weighted if one[0] not in parties)
    return Candidates(left, candidates.are_validators)


def draw(
    seed: Hash, case: int, weighted: tuple[tuple[Address, Uint], ...], count: int
) -> tuple[Address, ...]:
    """Up to `count` different accounts, one after the other, each with a chance in proportion to its weight.

    A word has 128 bits, and no unit of weight is more likely (`uniform`). Accounts without weight are never
    drawn.
    """
    left, counter = [one for one in weighted if one[1] > 0], 0
    drawn: list[Address] = []
    while left and len(drawn) < count:
        ends = list(accumulate(weight for _, weight in left))
        digest = hash_record(Domain.JURY, (seed, case, counter))
        ticket, counter = reduce_word(digest[:WORD_BYTES], ends[-1]), counter + 1
        if ticket is not None:
            who, _ = left.pop(bisect_right(ends, ticket))
            drawn.append(who)
    return tuple(drawn)
