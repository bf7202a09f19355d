"""Validators: the calls of candidates."""

from chain.errors import InvalidKey
from chain.module import Context
from chain.modules import staking
from chain.modules.validators.candidacy import Validate, get_key_proof_bytes
from chain.modules.validators.queries import get_candidate, get_parameters
from chain.modules.validators.types import (
    CANDIDATES,
    KEYS,
    MODULE,
    BondTooSmall,
    Candidate,
    CandidateRegistered,
    Chilled,
    CommissionChanged,
    CommissionOutOfBounds,
    KeyNotProven,
    KeyTaken,
    NotCandidate,
    UnusableKey,
)
from chain.primitives.codec import Record, replace
from chain.primitives.keys import check_public_key
from chain.primitives.types import PPM, Address, Era, Ppm, PublicKey
from chain.state import StateReader


class Chill(Record):
    """Stop standing for election."""


class SetCommission(Record):
    """Set the share of its delegators' rewards that the validator keeps."""

    commission_ppm: Ppm


@MODULE.call(1, Validate, weight=240)
def validate(ctx: Context, sender: Address, call: Validate) -> None:
    """Stand from the next election on. Call it again to change the key, or to stand after `chill`."""
    check_key(ctx.state, sender, call.consensus_key)
    message = get_key_proof_bytes(ctx.genesis_hash, sender)
    if not ctx.verify(call.consensus_key, message, call.key_proof):
        raise KeyNotProven
    stand(ctx, sender, call.consensus_key, call.commission_ppm)


def stand(ctx: Context, sender: Address, consensus_key: PublicKey, commission_ppm: Ppm) -> None:
    """Make the account a candidate; the caller has checked the key."""
    if staking.is_tombstoned(ctx.state, sender):
        raise staking.HostTombstoned
    bond_min = get_parameters(ctx.state).bond_min
    if staking.get_bond(ctx.state, sender) < bond_min:
        raise BondTooSmall(f"needs {bond_min}")
    known = get_candidate(ctx.state, sender)
    commission_era = _check_commission(ctx, known, commission_ppm)
    KEYS.set(ctx.state, sender, consensus_key)
    CANDIDATES.set(ctx.state, Candidate(consensus_key, commission_ppm, commission_era), sender)
    ctx.emit(CandidateRegistered(sender, consensus_key, commission_ppm))


@MODULE.call(2, Chill, weight=60)
def chill(ctx: Context, sender: Address, call: Chill) -> None:
    """Stand no more; a member stays in the set until the next election takes effect."""
    candidate = get_candidate(ctx.state, sender)
    if candidate is None or candidate.is_chilled:
        raise NotCandidate
    CANDIDATES.set(ctx.state, replace(candidate, is_chilled=True), sender)
    ctx.emit(Chilled(sender))


@MODULE.call(3, SetCommission, weight=60)
def set_commission(ctx: Context, sender: Address, call: SetCommission) -> None:
    """Change the commission by at most one step, once per era."""
    candidate = get_candidate(ctx.state, sender)
    if candidate is None:
        raise NotCandidate
    era = _check_commission(ctx, candidate, call.commission_ppm)
    CANDIDATES.set(
        ctx.state, replace(candidate, commission_ppm=call.commission_ppm, commission_era=era), sender
    )
    ctx.emit(CommissionChanged(sender, call.commission_ppm))


def check_key(state: StateReader, who: Address, key: PublicKey) -> None:
    """Raises UnusableKey or KeyTaken unless the account may stand with this key."""
    try:
        check_public_key(key)
    except InvalidKey as error:
        raise UnusableKey from error
    if KEYS.get(state, key) not in (None, who):
        raise KeyTaken


def _check_commission(ctx: Context, known: Candidate | None, commission_ppm: Ppm) -> Era:
    """The era of the last change if the commission becomes `commission_ppm`; raises CommissionOutOfBounds."""
    if commission_ppm > PPM:
        raise CommissionOutOfBounds
    if known is None:
        return ctx.era
    if known.commission_ppm == commission_ppm:
        return known.commission_era
    step = abs(known.commission_ppm - commission_ppm)
    if known.commission_era == ctx.era or step > get_parameters(ctx.state).commission_step_ppm:
        raise CommissionOutOfBounds
    return ctx.era
