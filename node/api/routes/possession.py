"""Possession proofs, for those who check samples of them by themselves (`vidya light sample`)."""

from typing import Annotated

from fastapi import APIRouter, Path

from chain.block import list_transaction_ids
from chain.list_tree import prove_entry
from chain.modules import hosting, system
from chain.primitives.codec import encode
from node.api.context import AddressPath, ApiOf, Cursor, Limit, ViewOf, read_page
from node.api.errors import Gone, NotFound
from node.api.schemas import Owing, Shown
from node.api.shown import Pruned

router = APIRouter(prefix="/v1/possession", tags=["hosts"])

EpochPath = Annotated[int, Path(ge=0, le=2**40)]


@router.get("")
async def list_owing(api: ApiOf, view: ViewOf, after: Cursor = "", limit: Limit = 1_000) -> Owing:
    """Hosts that hold something in the epoch of the head, and so have a proof to show."""
    page = read_page(view, hosting.SUBSET_TOTALS, after=after, limit=limit)
    hosts = [api.format_address(who) for who, _ in page.entries]
    epoch = system.compute_epoch(system.get_parameters(view.state), view.height)
    return Owing(epoch=epoch, hosts=hosts, next=page.next)


@router.get("/{epoch}/{address}")
async def get_shown(api: ApiOf, view: ViewOf, epoch: EpochPath, address: AddressPath) -> Shown:
    """The final transaction by which a host has shown its leaves of an epoch."""
    who = api.parse_address(address)
    try:
        place = await api.shown.find(view, epoch, who, api.threads)
    except Pruned as error:
        raise Gone("pruned", str(error), "ask a node that keeps all blocks") from error
    block = None if place is None else view.get_block(place.height)
    if place is None or block is None:
        raise NotFound("not_found", "the host has shown nothing in this epoch")
    entries = (encode(block.inherents), *list_transaction_ids(block))
    return Shown(
        height=place.height,
        transaction=encode(block.transactions[place.index]).hex(),
        proof=encode(prove_entry(entries, place.index + 1)).hex(),
    )
