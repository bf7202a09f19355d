"""Final blocks, for people and for verification."""

from itertools import takewhile
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from chain.block import Header, compute_header_hash
from chain.primitives.codec import encode
from chain.primitives.types import Height
from node.api.context import ApiOf, Limit, Offset, ViewOf
from node.api.errors import Gone, NotFound
from node.api.forms import (
    format_events,
    format_header,
    format_page_of_transactions,
    format_record,
)
from node.api.schemas import Block, Blocks, EncodedHeaders, LightBlock
from node.ledger.ledger import LedgerView

router = APIRouter(prefix="/v1", tags=["blocks"])

HEADERS_MAX = 100
ENCODED_HEADERS_MAX = 200
CACHE_SECONDS = 600
HeightOrLatest = Annotated[str, Path(pattern=r"^(latest|[0-9]{1,19})$", description="a height, or `latest`")]
BlockName = Annotated[
    str,
    Path(pattern=r"^(latest|[0-9]{1,19}|[0-9a-fA-F]{64})$", description="a height, `latest`, or a hash"),
]


@router.get("/blocks")
async def list_blocks(
    api: ApiOf,
    view: ViewOf,
    start: Annotated[int | None, Query(alias="from", ge=0, le=2**63 - 1, description="the highest")] = None,
    count: Annotated[int, Query(ge=1, le=HEADERS_MAX)] = 20,
) -> Blocks:
    """Headers downwards, from the head if `from` is not given."""
    top = view.height if start is None else min(start, view.height)
    headers = map(view.get_header, range(top, max(top - count, -1), -1))
    # A node that began at a snapshot has none below, but for that of genesis.
    shown = takewhile(lambda header: header is not None, headers)
    return Blocks(
        height=view.height, blocks=[format_header(header, api.prefix) for header in shown if header]
    )


@router.get("/blocks/{block}")
async def get_block(
    api: ApiOf, view: ViewOf, block: BlockName, offset: Offset = 0, limit: Limit = 100
) -> Block:
    """A block with certificate, events, and a page of its transactions with their receipts."""
    height = find_height(view, block)
    check_kept(view, height)
    data = view.chain.get_block(height)
    found, receipts, certificate = (
        view.get_block(height),
        view.get_receipts(height),
        view.get_certificate(height),
    )
    if data is None or found is None or receipts is None:
        raise Gone(
            "pruned", f"the body of block {height} is not kept here", "ask a node that keeps all blocks"
        )
    return Block(
        header=format_header(found.header, api.prefix),
        size_bytes=len(data),
        certificate=format_record(certificate, api.prefix) if certificate else None,
        inherents=format_record(found.inherents, api.prefix),
        events_start=format_events(receipts.start, api.prefix),
        events_end=format_events(receipts.end, api.prefix),
        transaction_count=len(found.transactions),
        transactions=list(format_page_of_transactions(found, receipts, offset, limit, api.prefix)),
    )


@router.get("/headers")
async def list_headers(
    view: ViewOf,
    start: Annotated[int, Query(alias="from", ge=0, le=2**63 - 1, description="the highest")],
    count: Annotated[int, Query(ge=1, le=ENCODED_HEADERS_MAX)] = ENCODED_HEADERS_MAX,
) -> EncodedHeaders:
    """Headers downwards as they are encoded, each the parent of the one before."""
    require_header(view, start)
    found = map(view.chain.get_header, range(start, max(start - count, -1), -1))
    return EncodedHeaders(headers=[data.hex() for data in takewhile(bool, found) if data])


@router.get("/headers/{height}")
async def get_light_block(view: ViewOf, height: HeightOrLatest, response: Response) -> LightBlock:
    """Header, certificate and roster as they are encoded."""
    if height == "latest":
        return build_light_block(view, view.height)
    found = build_light_block(view, int(height))
    # What is final stays; but the name of a node may be given to another network.
    response.headers["cache-control"] = f"public, max-age={CACHE_SECONDS}"
    return found


def build_light_block(view: LedgerView, height: Height) -> LightBlock:
    """What a light client needs of a height; raises NotFound, Gone."""
    header = require_header(view, height)
    certificate, roster = view.get_certificate(height), view.get_roster(header.validators_hash)
    return LightBlock(
        height=height,
        hash=compute_header_hash(header).hex(),
        header=encode(header).hex(),
        certificate=encode(certificate).hex() if certificate else None,
        roster=encode(roster).hex() if roster else None,
    )


def find_height(view: LedgerView, name: str) -> Height:
    """The height of a final block; raises NotFound."""
    if name == "latest":
        return view.height
    height = view.chain.get_height(bytes.fromhex(name)) if len(name) == 64 else int(name)
    if height is None or height > view.height:
        raise NotFound("not_found", "no such block is final", f"the head is at height {view.height}")
    return height


def require_header(view: LedgerView, height: Height) -> Header:
    """A final header; raises NotFound, or Gone below the height at which the node began."""
    header = view.get_header(height) if height <= view.height else None
    if header is None:
        check_kept(view, height)
        raise NotFound("not_found", f"no block {height} is final", f"the head is at height {view.height}")
    return header


def check_kept(view: LedgerView, height: Height) -> None:
    """Raises Gone for a height below the first of a node that began at a snapshot."""
    extent = view.chain.get_extent()
    if extent is not None and height < extent.first:
        raise Gone(
            "pruned",
            f"this node began at a snapshot of height {extent.first}: it never had block {height}",
            "ask a node that keeps all blocks",
        )
