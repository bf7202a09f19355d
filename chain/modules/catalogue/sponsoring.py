"""Catalogue: sponsoring a datum, giving notice, taking the bond back."""

from chain.module import Context
from chain.modules import balances
from chain.modules.catalogue.effects import store
from chain.modules.catalogue.queries import get_datum, get_parameters, get_required, get_sponsorship
from chain.modules.catalogue.types import (
    MODULE,
    SPONSOR_PARTS,
    SPONSOR_POT,
    SPONSORS_MAX,
    SPONSORSHIPS,
    CaseOpen,
    Datum,
    Junk,
    NotListed,
    NotSponsor,
    Sponsored,
    SponsorLeaving,
    SponsorLeft,
    Sponsorship,
    SponsorshipTooSmall,
    SponsorshipWithdrawn,
    StillBonded,
    TooManySponsors,
)
from chain.primitives.codec import Record, replace
from chain.primitives.fixed_point import div_up
from chain.primitives.types import Address, Amount, Hash
from chain.state import StateReader


class Sponsor(Record):
    """Bond an amount for a datum, so that hosting it is rewarded; lost if a jury finds it to be junk."""

    datum: Hash
    amount: Amount


class LeaveSponsorship(Record):
    """Give notice as a sponsor of a datum."""

    datum: Hash


class WithdrawSponsorship(Record):
    """Take the bond of a sponsorship back, once the notice is over."""

    datum: Hash


@MODULE.call(3, Sponsor, weight=190)
def sponsor(ctx: Context, sender: Address, call: Sponsor) -> None:
    """Open to any account. The datum is sponsored in full once the bonds reach what is asked at that moment.

    Emits Sponsored, and Admitted if the datum earns from now on.
    """
    datum, before = _require(ctx.state, call.datum), get_sponsorship(ctx.state, call.datum, sender)
    if datum.is_junk:
        raise Junk
    if before is not None and before.unlocks_in is not None:
        raise SponsorLeaving
    if before is None and datum.sponsors >= SPONSORS_MAX:
        raise TooManySponsors
    required = get_required(ctx.state, datum)
    if call.amount < max(min(div_up(required, SPONSOR_PARTS), required - datum.fresh), 1):
        raise SponsorshipTooSmall(f"{datum.fresh} of {required} are there")
    balances.transfer(ctx, sender, SPONSOR_POT, call.amount)
    bonded = call.amount + (0 if before is None else before.amount)
    SPONSORSHIPS.set(ctx.state, Sponsorship(bonded), call.datum, sender)
    _add(ctx, call, replace(datum, sponsors=datum.sponsors + (before is None)), required)
    ctx.emit(Sponsored(call.datum, sender, call.amount, datum.fresh + call.amount, required))


def _add(ctx: Context, call: Sponsor, datum: Datum, required: Amount) -> None:
    fresh = datum.fresh + call.amount
    grown = replace(datum, sponsored=datum.sponsored + call.amount, fresh=fresh)
    if fresh >= required:
        grown = replace(grown, needed=required, fresh=0, wanted_in=ctx.era)
    store(ctx, call.datum, grown)


@MODULE.call(4, LeaveSponsorship, weight=140)
def leave_sponsorship(ctx: Context, sender: Address, call: LeaveSponsorship) -> None:
    """The bond counts no more at once, but a verdict can still take it for `sponsor_notice_eras` full eras.

    Emits SponsorLeft, and AdmissionEnded if the other bonds do not suffice.
    """
    datum, sponsorship = _require(ctx.state, call.datum), get_sponsorship(ctx.state, call.datum, sender)
    if sponsorship is None:
        raise NotSponsor
    if sponsorship.unlocks_in is not None:
        raise SponsorLeaving
    unlocks_in = ctx.era + 1 + get_parameters(ctx.state).sponsor_notice_eras
    SPONSORSHIPS.set(ctx.state, replace(sponsorship, unlocks_in=unlocks_in), call.datum, sender)
    # Who leaves takes of what is fresh first: nobody renews a datum with a bond that was there before.
    fresh, left = max(datum.fresh - sponsorship.amount, 0), datum.sponsored - sponsorship.amount
    store(ctx, call.datum, replace(datum, sponsored=left, fresh=fresh))
    ctx.emit(SponsorLeft(call.datum, sender, sponsorship.amount, unlocks_in))


@MODULE.call(5, WithdrawSponsorship, weight=170)
def withdraw_sponsorship(ctx: Context, sender: Address, call: WithdrawSponsorship) -> None:
    """Return a bond whose notice is over, unless a case is open. Emits SponsorshipWithdrawn."""
    datum, sponsorship = _require(ctx.state, call.datum), get_sponsorship(ctx.state, call.datum, sender)
    if sponsorship is None:
        raise NotSponsor
    if sponsorship.unlocks_in is None or ctx.era < sponsorship.unlocks_in:
        raise StillBonded
    if datum.case is not None:
        raise CaseOpen
    SPONSORSHIPS.delete(ctx.state, call.datum, sender)
    store(ctx, call.datum, replace(datum, sponsors=datum.sponsors - 1))
    balances.transfer(ctx, SPONSOR_POT, sender, sponsorship.amount)
    ctx.emit(SponsorshipWithdrawn(call.datum, sender, sponsorship.amount))


def _require(state: StateReader, datum_id: Hash) -> Datum:
    datum = get_datum(state, datum_id)
    if datum is None:
        raise NotListed
    return datum
