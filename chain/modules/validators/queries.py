"""Validators: reads of candidates, sets and participation."""

from bisect import bisect_right

from chain.modules import beacon, possession, staking, system
from chain.modules.validators.types import (
    CANDIDATES,
    CHANGES,
    CURRENT,
    ELECTED_STAKES,
    EPOCH_ENDS,
    HISTORY,
    NEXT,
    PARAMETERS,
    PREVIOUS,
    TALLY,
    TARGET,
    Candidate,
    ElectedStake,
    Parameters,
    Participation,
)
from chain.primitives.types import Address, Amount, Epoch, Height, Ppm, TimeMs
from chain.state import StateReader
from chain.validator_set import ValidatorChange, ValidatorSet, get_validator


def is_electable(state: StateReader, who: Address, epoch: Epoch) -> bool:
    """Whether a candidate can be elected for `epoch`: it stands, is bonded, free, can reveal, and has proven
    the last era.
    """
    candidate = get_candidate(state, who)
    if candidate is None or candidate.is_chilled or not beacon.has_links(state, who, epoch):
        return False
    standing = staking.get_standing(state, who)
    if standing.is_jailed or standing.is_tombstoned:
        return False
    has_bond = staking.get_bond(state, who) >= get_parameters(state).bond_min
    return has_bond and possession.has_proven_era(state, who)


def get_current(state: StateReader) -> ValidatorSet:
    """The set of the running block; between blocks, of the next one."""
    return CURRENT.require(state)


def get_next(state: StateReader) -> ValidatorSet:
    """The set of the height after that of `get_current`."""
    return NEXT.require(state)


def get_previous(state: StateReader) -> ValidatorSet:
    """The set of the height before that of `get_current`."""
    return PREVIOUS.require(state)


def get_target(state: StateReader) -> tuple[ValidatorChange, ...]:
    """The elected membership, which NEXT approaches."""
    return TARGET.require(state)


def get_members_at(state: StateReader, height: Height) -> ValidatorSet | None:
    """The set that decided a height, while evidence of it is accepted; its priorities have no meaning."""
    heights = CHANGES.require(state)
    position = bisect_right(heights, height)
    return HISTORY.get(state, heights[position - 1]) if position else None


def get_stake_behind(state: StateReader, who: Address, height: Height) -> Amount:
    """An upper bound of the stake behind a validator's power at a height.

    It is the stake of the era that is liable for the height: a member that is leaving the set is still
    backed by all of it.
    """
    parameters = system.get_parameters(state)
    era = system.compute_era(parameters, max(height - 1, 0))
    first = system.compute_first_height(parameters, era * parameters.era_epochs) + 1
    heights = CHANGES.require(state)
    begin, end = max(bisect_right(heights, first) - 1, 0), bisect_right(heights, height)
    sets = (HISTORY.get(state, start) for start in heights[begin:end])
    members = (get_validator(one, who) for one in sets if one is not None)
    power = max((member.power for member in members if member is not None), default=0)
    return (power + 1) * get_parameters(state).power_unit - 1


def is_expired(state: StateReader, height_now: Height, time_now: TimeMs, height: Height) -> bool:
    """Whether an offence at `height` is too old, in blocks and in time (taken at the end of its epoch)."""
    parameters = system.get_parameters(state)
    if height_now - height <= parameters.evidence_age_blocks:
        return False
    epoch = system.compute_epoch(parameters, height)
    ended = EPOCH_ENDS.get(state, epoch)
    if ended is None:
        return epoch < system.compute_epoch(parameters, height_now)
    return time_now - ended > parameters.evidence_age_ms


def is_validator(state: StateReader, who: Address) -> bool:
    """Whether an account is in the current set."""
    return get_validator(get_current(state), who) is not None


def get_candidate(state: StateReader, who: Address) -> Candidate | None:
    """The candidacy of an account, also after `chill`; None if it never stood."""
    return CANDIDATES.get(state, who)


def get_elected_stake(state: StateReader, who: Address) -> ElectedStake:
    """The stake with which an account was elected last; nothing if it was not."""
    return ELECTED_STAKES.get(state, who) or ElectedStake(0, 0)


def get_commission(state: StateReader, who: Address) -> Ppm:
    """The share of its delegators' rewards that a host keeps; 0 if it never stood."""
    candidate = get_candidate(state, who)
    return 0 if candidate is None else candidate.commission_ppm


def get_participation(state: StateReader, epoch: Epoch) -> tuple[Participation, ...]:
    """The participation of validators in an epoch, by address; empty for any but the current epoch."""
    tally = TALLY.get(state)
    return tally.entries if tally is not None and tally.epoch == epoch else ()


def get_parameters(state: StateReader) -> Parameters:
    """The parameters of elections."""
    return PARAMETERS.require(state)
