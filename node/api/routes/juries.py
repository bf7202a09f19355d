"""Juries: open cases with their times and votes, and the bond of a juror."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from chain.modules import catalogue, juries, system
from chain.modules.juries.types import CASES
from chain.primitives.types import Address
from node.api.context import AddressPath, Api, ApiOf, Cursor, Limit, ViewOf, get_epoch, read_page
from node.api.errors import NotFound
from node.api.forms import Json, format_record
from node.api.schemas import Case, Cases, Juror
from node.ledger.ledger import LedgerView

router = APIRouter(prefix="/v1/juries", tags=["juries"])

CaseNumber = Annotated[int, Path(ge=0, lt=2**63)]


@router.get("")
async def list_cases(
    api: ApiOf,
    view: ViewOf,
    juror: Annotated[str, Query(max_length=90, description="whose seats are shown")] = "",
    after: Cursor = "",
    limit: Limit = 100,
) -> Cases:
    """Open cases in the order of their numbers. Ask again with `next` until it is null."""
    who = api.parse_address(juror) if juror else None
    page = read_page(view, CASES, after=after, limit=limit)
    cases = [_format_case(api, view, int.from_bytes(key, "big"), case, who) for key, case in page.entries]
    opened = juries.get_case_count(view.state)
    return Cases(height=view.height, epoch=get_epoch(view), opened=opened, cases=cases, next=page.next)


@router.get("/{number}")
async def get_case(api: ApiOf, view: ViewOf, number: CaseNumber) -> Case:
    """An open case with its seats, and the sponsors who lose their bonds if the datum is junk."""
    case = juries.get_case(view.state, number)
    if case is None:
        raise NotFound(
            "not_found",
            f"case {number} is not open",
            "a verdict is in the events of the first block of its epoch",
        )
    return Case(
        height=view.height,
        epoch=get_epoch(view),
        case=_format_case(api, view, number, case, None),
        seats=[
            {"juror": api.format_address(who), **format_record(seat, api.prefix)}
            for who, seat in juries.list_seats(view.state, number)
        ],
        sponsors=[
            {"sponsor": api.format_address(who), **format_record(one, api.prefix)}
            for who, one in catalogue.list_sponsorships(view.state, case.datum)
        ],
    )


def _format_case(api: Api, view: LedgerView, number: int, case: juries.Case, juror: Address | None) -> Json:
    """`phase` is what the next block is for: draw, commit or reveal. `seat` is that of `juror`."""
    state, reveals_from = view.state, juries.compute_reveals_from(view.state, case)
    seats = [seat for _, seat in juries.list_seats(state, number)]
    datum, seat = catalogue.get_datum(state, case.datum), juror and juries.get_seat(state, number, juror)
    phase = "reveal" if get_epoch(view) >= reveals_from else "commit" if case.is_drawn else "draw"
    return {
        "case": number,
        **format_record(case, api.prefix),
        "title": datum.title if datum else "",
        "phase": phase,
        "reveals_from": reveals_from,
        "decided_in": juries.compute_decided_in(state, case),
        "jurors": len(seats),
        "committed": sum(one.commitment is not None for one in seats),
        "revealed": sum(one.is_junk is not None for one in seats),
        "seat": format_record(seat, api.prefix) if seat else None,
    }


@router.get("/jurors/{address}")
async def get_juror(api: ApiOf, view: ViewOf, address: AddressPath) -> Juror:
    """The bond of a juror, and from which era on it can be drawn; null for an account without one."""
    who, state = api.parse_address(address), view.state
    juror, parameters = juries.get_juror(state, who), juries.get_parameters(state)
    return Juror(
        address=api.format_address(who),
        height=view.height,
        era=system.compute_era(system.get_parameters(state), view.height + 1),
        juror=None if juror is None else format_record(juror, api.prefix),
        drawn_from=None if juror is None else juror.since_era + parameters.juror_eras + 1,
    )
