"""Juries: the hooks that draw, note what hosts earned with a challenged datum, and decide."""

from typing import NamedTuple

from chain.module import Context
from chain.modules import balances, beacon, catalogue, escrow, hosting, rewards, staking, system
from chain.modules.juries.drawing import Candidates, draw, exclude_parties, list_candidates
from chain.modules.juries.queries import (
    compute_decided_in,
    compute_reveals_from,
    get_case,
    get_juror,
    get_parameters,
    list_agenda,
    list_opened,
    list_seats,
)
from chain.modules.juries.types import (
    AGENDA,
    CASES,
    JURORS,
    POT,
    SEATS,
    TAINTS,
    Case,
    CaseDecided,
    JuryDrawn,
    Seat,
    SilentJurorFined,
    Taint,
    WithheldBurned,
)
from chain.primitives.codec import replace
from chain.primitives.fixed_point import mul_div, mul_ppm
from chain.primitives.types import Address, Amount, Era, Hash
from chain.state import StateReader


class Count(NamedTuple):
    """The votes of a jury."""

    for_junk: tuple[Address, ...]
    against: tuple[Address, ...]
    silent: tuple[Address, ...]

    @property
    def is_junk(self) -> bool | None:
        """The majority of those who revealed; None if neither has one."""
        if len(self.for_junk) == len(self.against):
            return None
        return len(self.for_junk) > len(self.against)


def on_epoch_end(ctx: Context) -> None:
    """For the cases opened in this epoch: note which share of each host's hosting pay came from the datum.

    Whoever held the datum when the case was opened holds it in this epoch: a drop takes effect two epochs
    later. Costs one weighing of all holdings, as the rewards do, in an epoch in which a case was opened.
    """
    by_datum = {case.datum: number for number, case in list_opened(ctx.state, ctx.epoch)}
    if not by_datum:
        return
    for one in rewards.list_datum_shares(ctx.state, ctx.epoch, tuple(by_datum)):
        since_era = _compute_since(ctx.state, one.host, one.datum)
        TAINTS.set(ctx.state, Taint(one.share_ppm, since_era), by_datum[one.datum], one.host)


def _compute_since(state: StateReader, host: Address, datum_id: Hash) -> Era:
    """The era from which a host can have been paid for a datum that it holds."""
    holding, datum = hosting.get_holding(state, host, datum_id), catalogue.get_datum(state, datum_id)
    assert holding is not None and datum is not None
    held_from = holding.from_epoch // system.get_parameters(state).era_epochs
    return max(held_from, datum.earns_from)


def on_epoch_start(ctx: Context) -> None:
    """Draw the juries that are due, and decide the cases whose time is over; runs once the seed is known."""
    numbers = list_agenda(ctx.state, ctx.epoch)
    candidates: Candidates | None = None
    for number in numbers:
        AGENDA.delete(ctx.state, ctx.epoch, number)
        case = get_case(ctx.state, number)
        assert case is not None
        if case.is_drawn:
            _decide(ctx, number, case)
        else:
            candidates = candidates or list_candidates(ctx.state, ctx.era)
            _seat(ctx, number, case, exclude_parties(ctx.state, case, candidates))


def _seat(ctx: Context, number: int, case: Case, candidates: Candidates) -> None:
    seed, size = beacon.get_seed(ctx.state, ctx.epoch), get_parameters(ctx.state).jury_size
    drawn = draw(seed, number, candidates.weighted, size)
    for who in drawn:
        SEATS.set(ctx.state, Seat(), number, who)
        if not candidates.are_validators:
            _count_seat(ctx, who, 1)
    CASES.set(ctx.state, replace(case, is_drawn=True, are_validators=candidates.are_validators), number)
    decided_in = compute_decided_in(ctx.state, case)
    AGENDA.set(ctx.state, True, decided_in, number)
    told = JuryDrawn(
        case=number,
        jurors=drawn,
        are_validators=candidates.are_validators,
        candidates=len(candidates.weighted),
        weight_total=sum(weight for _, weight in candidates.weighted),
        reveals_from=compute_reveals_from(ctx.state, case),
        decided_in=decided_in,
    )
    ctx.emit(told)


def _count_seat(ctx: Context, who: Address, change: int) -> None:
    juror = get_juror(ctx.state, who)
    assert juror is not None
    JURORS.set(ctx.state, replace(juror, seats=juror.seats + change), who)


def _decide(ctx: Context, number: int, case: Case) -> None:
    """Emits SilentJurorFined, WithheldBurned and CaseDecided."""
    votes = _count_votes(list_seats(ctx.state, number))
    _dismiss(ctx, number, case, votes)
    if votes.is_junk:
        forfeited = catalogue.condemn(ctx, case.datum, POT)
        _burn_withheld(ctx, number)
    else:
        catalogue.close_case(ctx, case.datum)
        forfeited = 0 if votes.is_junk is None else case.bond
    if votes.is_junk is not False:
        balances.transfer(ctx, POT, case.challenger, case.bond)
    to_winner, to_jurors = _pay(ctx, case, votes, forfeited)
    burned = forfeited - to_winner - to_jurors
    balances.burn(ctx, POT, burned, balances.BurnCause.JURIES)
    _forget(ctx, number)
    told = CaseDecided(
        case=number,
        datum=case.datum,
        is_junk=votes.is_junk,
        for_junk=len(votes.for_junk),
        against=len(votes.against),
        silent=len(votes.silent),
        forfeited=forfeited,
        winner=to_winner,
        jurors=to_jurors,
        burned=burned,
    )
    ctx.emit(told)


def _count_votes(seats: tuple[tuple[Address, Seat], ...]) -> Count:
    def pick(wanted: bool | None) -> tuple[Address, ...]:
        return tuple(who for who, seat in seats if seat.is_junk is wanted)

    return Count(pick(True), pick(False), pick(None))


def _dismiss(ctx: Context, number: int, case: Case, votes: Count) -> None:
    """Free the jurors' bonds, less the fine of those who revealed nothing."""
    silent_ppm = get_parameters(ctx.state).silent_ppm
    if not case.are_validators:
        for who in (*votes.for_junk, *votes.against, *votes.silent):
            _count_seat(ctx, who, -1)
    for who in votes.silent:
        fine = _fine_validator if case.are_validators else _fine_juror
        ctx.emit(SilentJurorFined(number, who, fine(ctx, who, silent_ppm)))


def _fine_juror(ctx: Context, who: Address, ppm: int) -> Amount:
    juror = get_juror(ctx.state, who)
    assert juror is not None
    lost = mul_ppm(juror.amount, ppm)
    JURORS.set(ctx.state, replace(juror, amount=juror.amount - lost), who)
    balances.burn(ctx, POT, lost, balances.BurnCause.JURIES)
    return lost


def _fine_validator(ctx: Context, who: Address, ppm: int) -> Amount:
    """Of its own bond alone: delegators have not been drawn."""
    lost = mul_ppm(staking.get_bond(ctx.state, who), ppm)
    if lost:
        staking.slash_amount(ctx, who, lost, "silent juror")
    return lost


def _pay(ctx: Context, case: Case, votes: Count, forfeited: Amount) -> tuple[Amount, Amount]:
    """Pay the winning side and, in equal parts, the jurors who voted; returns both sums, rounded down."""
    parameters, voters = get_parameters(ctx.state), (*votes.for_junk, *votes.against)
    each = mul_ppm(forfeited, parameters.jurors_ppm) // max(len(voters), 1)
    for who in voters:
        balances.transfer(ctx, POT, who, each)
    prize = mul_ppm(forfeited, parameters.winner_ppm)
    paid = 0
    for who, amount in _share_prize(ctx, case, prize, is_junk=votes.is_junk is True):
        balances.transfer(ctx, POT, who, amount)
        paid += amount
    return paid, each * len(voters)


def _share_prize(ctx: Context, case: Case, prize: Amount, *, is_junk: bool) -> list[tuple[Address, Amount]]:
    """The challenger gets it all, or the sponsors get it by their bonds; without sponsors nobody does."""
    if is_junk:
        return [(case.challenger, prize)]
    sponsors = catalogue.list_sponsorships(ctx.state, case.datum)
    total = sum(one.amount for _, one in sponsors)
    return [(who, mul_div(prize, one.amount, total)) for who, one in sponsors]


def _burn_withheld(ctx: Context, number: int) -> None:
    for host, taint in TAINTS.items(ctx.state, number):
        burned = escrow.burn_hosting(ctx, host, taint.share_ppm, taint.since_era)
        if burned:
            ctx.emit(WithheldBurned(number, host, taint.share_ppm, taint.since_era, burned))


def _forget(ctx: Context, number: int) -> None:
    CASES.delete(ctx.state, number)
    for who, _ in list(SEATS.items(ctx.state, number)):
        SEATS.delete(ctx.state, number, who)
    for host, _ in list(TAINTS.items(ctx.state, number)):
        TAINTS.delete(ctx.state, number, host)
