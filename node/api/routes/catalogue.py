"""The catalogue: search, entries with their hosts, sessions."""

from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query

from chain.modules import catalogue, hosting, sessions
from chain.primitives.types import Hash
from node.api.context import Api, ApiOf, Cursor, HashPath, Limit, ViewOf, get_epoch, read_page
from node.api.errors import NotFound
from node.api.forms import Json, format_record
from node.api.routes.hosting import format_host
from node.api.schemas import Datum, Datums, Session
from node.ledger.ledger import LedgerView

router = APIRouter(prefix="/v1", tags=["catalogue"])

EXAMINED_MAX = 10_000
"""Entries that one request looks through; the answer says where to go on."""
HOSTS_MAX = 256


@router.get("/datums")
async def list_datums(
    api: ApiOf,
    view: ViewOf,
    text: Annotated[str, Query(max_length=128, description="in title, tags or description")] = "",
    category: Annotated[str, Query(max_length=32)] = "",
    after: Cursor = "",
    cursor: Annotated[Cursor, Query(deprecated=True, description="an older name of `after`")] = "",
    limit: Limit = 100,
) -> Datums:
    """Entries that contain the text, in the order of their ids. Ask again with `next` until it is null."""
    wanted = text.casefold()

    def is_wanted(key: Hash, datum: catalogue.Datum) -> bool:
        return (not category or datum.category == category) and (not wanted or _contains(datum, wanted))

    page = read_page(
        view,
        catalogue.DATUMS,
        after=after or cursor,
        limit=limit,
        accept=is_wanted,
        examined_max=EXAMINED_MAX,
    )
    return Datums(
        datums=[_format_datum(api, view, datum_id, datum) for datum_id, datum in page.entries], next=page.next
    )


def _contains(datum: catalogue.Datum, wanted: str) -> bool:
    return any(wanted in text.casefold() for text in (datum.title, *datum.tags, datum.description))


def _format_datum(api: Api, view: LedgerView, datum_id: Hash, datum: catalogue.Datum) -> Json:
    return {
        "id": datum_id.hex(),
        **format_record(datum, api.prefix),
        "is_admitted": catalogue.is_admitted(view.state, datum_id),
    }


@router.get("/datums/{datum_id}")
async def get_datum(api: ApiOf, view: ViewOf, datum_id: HashPath) -> Datum:
    """An entry, what sponsors must bond for it, and the hosts that hold it in the epoch of the next block."""
    wanted = bytes.fromhex(datum_id)
    datum = catalogue.get_datum(view.state, wanted)
    if datum is None:
        raise NotFound("not_found", "no such datum in the catalogue")
    return Datum(
        id=wanted.hex(),
        is_admitted=catalogue.is_admitted(view.state, wanted),
        required=catalogue.get_required(view.state, datum),
        datum=_format_datum(api, view, wanted, datum),
        sponsorships=[
            {"sponsor": api.format_address(who), **format_record(one, api.prefix)}
            for who, one in catalogue.list_sponsorships(view.state, wanted)
        ],
        hosts=_list_hosts(api, view, wanted),
    )


def _list_hosts(api: Api, view: LedgerView, datum_id: Hash) -> list[Json]:
    state, epoch = view.state, get_epoch(view)
    found = []
    for who, _ in islice(hosting.HOLDERS.items(state, datum_id), HOSTS_MAX):
        host = hosting.get_host(state, who)
        if host is not None and hosting.is_holding(state, who, datum_id, epoch):
            found.append(format_host(api, view, who, host))
    return found


@router.get("/sessions/{session_id}")
async def get_session(api: ApiOf, view: ViewOf, session_id: HashPath) -> Session:
    """An open session with its allotments."""
    wanted = bytes.fromhex(session_id)
    session = sessions.get_session(view.state, wanted)
    if session is None:
        raise NotFound("not_found", "no such session is open", "its end is in the events of its last block")
    return Session(
        id=wanted.hex(),
        session=format_record(session, api.prefix),
        is_running=sessions.is_running(session, view.height + 1),
        allotments=[
            {"host": api.format_address(host), **format_record(allotment, api.prefix)}
            for host, allotment in sessions.list_allotments(view.state, wanted)
        ],
    )
