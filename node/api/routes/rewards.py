"""What the running epoch pays an account, with all factors, and what is withheld from it."""

from fastapi import APIRouter

from chain.modules import escrow, hosting, rewards, system
from chain.primitives.codec import Record
from chain.primitives.types import Address, Era
from node.api.context import AddressPath, Api, ApiOf, ViewOf, get_epoch
from node.api.forms import Json, format_record
from node.api.schemas import Pay
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
