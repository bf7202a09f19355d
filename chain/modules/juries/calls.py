"""Juries: the bond of a juror, the challenge, and a juror's two steps."""

from chain.module import Context
from chain.modules import balances, beacon, catalogue, membership
from chain.modules.juries.queries import (
    compute_challenge_bond,
    compute_commitment,
    compute_reveals_from,
    get_case,
    get_case_count,
    get_juror,
    get_parameters,
    get_seat,
    list_opened,
)
from chain.modules.juries.types import (
    AGENDA,
    CASE_COUNT,
    CASES,
    JURORS,
    MODULE,
    POT,
    SEATS,
    AlreadyRevealed,
    Case,
    CaseOpened,
    Juror,
    JurorBonded,
    JurorBondTooSmall,
    JurorRetired,
    NoSuchCase,
    NotDrawn,
    NothingToJudge,
    NotJuror,
    NotMember,
    Seat,
    Seated,
    TooManyCases,
    VerdictCommitted,
    VerdictRevealed,
    WrongPhase,
    WrongVerdict,
)
from chain.primitives.codec import Record, replace
from chain.primitives.types import Address, Amount, Hash, Uint
from chain.state import StateReader


class ServeAsJuror(Record):
    """Lock a bond to be drawn as a juror, or add to it."""

    amount: Amount


class RetireAsJuror(Record):
    """Take the whole bond of a juror back."""


class ChallengeDatum(Record):
    """Say that a datum is junk, and have a jury decide."""

    datum: Hash


class CommitVerdict(Record):
    """As a drawn juror, fix a verdict by its hash."""

    case: Uint
    commitment: Hash


class RevealVerdict(Record):
    """As a drawn juror, show the verdict and the salt that were committed to."""

    case: Uint
    is_junk: bool
    salt: Hash


@MODULE.call(1, ServeAsJuror, weight=120)
def serve_as_juror(ctx: Context, sender: Address, call: ServeAsJuror) -> None:
    """Only for members; the age of the whole bond begins again. Emits JurorBonded."""
    if not membership.is_member(ctx.state, sender):
        raise NotMember
    before = get_juror(ctx.state, sender) or Juror(0, ctx.era)
    bond = before.amount + call.amount
    if call.amount == 0 or bond < get_parameters(ctx.state).juror_bond_min:
        raise JurorBondTooSmall(f"at least {get_parameters(ctx.state).juror_bond_min}")
    balances.transfer(ctx, sender, POT, call.amount)
    JURORS.set(ctx.state, replace(before, amount=bond, since_era=ctx.era), sender)
    ctx.emit(JurorBonded(sender, call.amount, bond))


@MODULE.call(2, RetireAsJuror, weight=110)
def retire_as_juror(ctx: Context, sender: Address, call: RetireAsJuror) -> None:
    """The bond returns at once, unless the juror sits in a jury. Emits JurorRetired."""
    juror = get_juror(ctx.state, sender)
    if juror is None:
        raise NotJuror
    if juror.seats:
        raise Seated
    JURORS.delete(ctx.state, sender)
    balances.transfer(ctx, POT, sender, juror.amount)
    ctx.emit(JurorRetired(sender, juror.amount))


@MODULE.call(3, ChallengeDatum, weight=360)
def challenge_datum(ctx: Context, sender: Address, call: ChallengeDatum) -> None:
    """Open to any account, for the bond. Emits CaseOpened.

    The seed of the epoch in which the jury is drawn is made of links that are revealed after this epoch: who
    challenges cannot choose the jury.
    """
    datum = catalogue.get_datum(ctx.state, call.datum)
    if datum is None:
        raise catalogue.NotListed
    if datum.is_junk:
        raise catalogue.Junk
    if datum.case is not None:
        raise catalogue.CaseOpen
    if not datum.sponsors and not catalogue.is_earning(datum):
        raise NothingToJudge
    if len(list_opened(ctx.state, ctx.epoch)) >= get_parameters(ctx.state).cases_per_epoch_max:
        raise TooManyCases
    _open(ctx, sender, call.datum)


def _open(ctx: Context, sender: Address, datum_id: Hash) -> None:
    bond = compute_challenge_bond(ctx.state, datum_id)
    balances.transfer(ctx, sender, POT, bond)
    number, drawn_in = get_case_count(ctx.state), ctx.epoch + beacon.DELAY_EPOCHS
    CASE_COUNT.set(ctx.state, number + 1)
    CASES.set(ctx.state, Case(datum_id, sender, bond, drawn_in), number)
    AGENDA.set(ctx.state, True, drawn_in, number)
    catalogue.open_case(ctx, datum_id, number)
    ctx.emit(CaseOpened(number, datum_id, sender, bond, drawn_in))


@MODULE.call(4, CommitVerdict, weight=70)
def commit_verdict(ctx: Context, sender: Address, call: CommitVerdict) -> None:
    """Once the jury is drawn and before reveals; the last one counts. Emits VerdictCommitted."""
    case, seat = _require(ctx.state, call.case, sender)
    if not case.is_drawn or ctx.epoch >= compute_reveals_from(ctx.state, case):
        raise WrongPhase
    SEATS.set(ctx.state, replace(seat, commitment=call.commitment), call.case, sender)
    ctx.emit(VerdictCommitted(call.case, sender))


@MODULE.call(5, RevealVerdict, weight=80)
def reveal_verdict(ctx: Context, sender: Address, call: RevealVerdict) -> None:
    """In the time for it, what was committed to. Emits VerdictRevealed."""
    case, seat = _require(ctx.state, call.case, sender)
    if ctx.epoch < compute_reveals_from(ctx.state, case):
        raise WrongPhase
    if seat.is_junk is not None:
        raise AlreadyRevealed
    if seat.commitment != compute_commitment(ctx.genesis_hash, call.case, sender, call.is_junk, call.salt):
        raise WrongVerdict
    SEATS.set(ctx.state, replace(seat, is_junk=call.is_junk), call.case, sender)
    ctx.emit(VerdictRevealed(call.case, sender, call.is_junk))


def _require(state: StateReader, number: int, who: Address) -> tuple[Case, Seat]:
    case = get_case(state, number)
    if case is None:
        raise NoSuchCase
    seat = get_seat(state, number, who)
    if seat is None:
        raise NotDrawn
    return case, seat
