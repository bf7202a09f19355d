"""What hosting pays: an account in the running epoch, with all factors; what one more GiB would bring."""

from typing import Annotated

from fastapi import APIRouter, Query

from chain.modules import catalogue, escrow, hosting, rewards, system
from chain.primitives.codec import Record
from chain.primitives.fixed_point import mul_ppm
from chain.primitives.types import PPM, Address, Era, Ppm
from node.api.context import AddressPath, Api, ApiOf, Cursor, Limit, ViewOf, get_epoch, read_page
from node.api.forms import Json, format_record
from node.api.schemas import Forecasts, Pay
from node.ledger.ledger import LedgerView

router = APIRouter(prefix="/v1", tags=["hosts"])


@router.get("/hosts/{address}/pay")
async def get_pay(api: ApiOf, view: ViewOf, address: AddressPath) -> Pay:
    """What the running epoch pays an account if it ends on time and nothing changes, and what is withheld."""
    who, state, epoch = api.parse_address(address), view.state, get_epoch(view)
    explained = rewards.explain_host(state, who, epoch, rewards.get_epoch_end_ms(state))
    parameters, proven_eras = system.get_parameters(state), get_proven_eras(view, who)
    return Pay(
        address=api.format_address(who),
        height=view.height,
        epoch=epoch,
        last_block=system.compute_first_height(parameters, epoch + 1) - 1,
        hosting=_format(api, explained.hosting),
        upload=_format(api, explained.upload),
        validator=_format(api, explained.validator),
        proven_eras=proven_eras,
        withheld_ppm=escrow.compute_share(escrow.get_parameters(state), proven_eras),
        withheld=escrow.get_withheld(state, who),
        grants=_list_grants(view, who, epoch // parameters.era_epochs),
    )


def _format(api: Api, payment: Record | None) -> Json | None:
    return None if payment is None else format_record(payment, api.prefix)


def get_proven_eras(view: LedgerView, who: Address) -> int:
    """Eras that an account has proven as a host; 0 if it is none."""
    host = hosting.get_host(view.state, who)
    return 0 if host is None else host.proven_eras


def _list_grants(view: LedgerView, who: Address, current: Era) -> list[Json]:
    return [
        {
            "era": era,
            "amount": grant.amount,
            "next_release": grant.amount // grant.eras_left,
            "next_release_era": max(current, era + 1),
            "last_release_era": escrow.compute_last_release(grant, era, current),
        }
        for era, grant in escrow.list_grants(view.state, who)
    ]


@router.get("/forecast")
async def list_forecasts(
    api: ApiOf,
    view: ViewOf,
    host: Annotated[str, Query(max_length=90, description="for this account; else for a new host")] = "",
    after: Cursor = "",
    limit: Limit = 100,
) -> Forecasts:
    """What a GiB of each datum would bring one more host in an era, if nobody else moves."""
    who = api.parse_address(host) if host else None
    state, epoch = view.state, get_epoch(view)
    found = rewards.survey(state, epoch)
    page = read_page(view, catalogue.DATUMS, after=after, limit=limit)
    parameters = escrow.get_parameters(state)
    proven_eras = 0 if who is None else get_proven_eras(view, who)
    share_ppm = escrow.compute_share(parameters, proven_eras)
    return Forecasts(
        epoch=epoch,
        era=found.era,
        proven_eras=proven_eras,
        withheld_ppm=share_ppm,
        released_until_era=found.era + parameters.release_eras,
        pledge_per_gib=hosting.get_pledge_per_gib(state),
        forecasts=[
            _format_forecast(api, view, datum, rewards.forecast_datum(state, found, datum_id, who), share_ppm)
            for datum_id, datum in page.entries
        ],
        next=page.next,
    )


def _format_forecast(
    api: Api, view: LedgerView, datum: catalogue.Datum, forecast: rewards.DatumForecast, share_ppm: Ppm
) -> Json:
    pay = forecast.pay_per_gib
    return {
        **format_record(forecast, api.prefix),
        "title": datum.title,
        "size_bytes": datum.size_bytes,
        "withheld_per_gib": pay - mul_ppm(pay, PPM - share_ppm),
        "is_junk": datum.is_junk,
        "is_due": datum.is_due,
        "earns_from": datum.earns_from,
        "sponsored": datum.sponsored,
        "required": catalogue.get_required(view.state, datum) if datum.needed is None else datum.needed,
    }
