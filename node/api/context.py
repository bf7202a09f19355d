"""The dependencies of route functions: the node's parts, a view of the ledger, checked parameters, pages.

Routes read in the API's own loop, one at a time and without another thread: each takes microseconds, and the
API never takes more than one thread's share of the interpreter from consensus.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest
from itertools import islice
from typing import Annotated, Generic, NamedTuple, TypeVar

import trio
from fastapi import Depends, Path, Query, Request

from chain.modules import system
from chain.primitives.addresses import decode_address, encode_address
from chain.primitives.codec import decode_trusted
from chain.primitives.types import Address, Epoch
from chain.state import KeyPart, StorageMap
from node.api.crossing import NodeLoop
from node.api.errors import NotAuthorised, NotReady
from node.api.feed import Feed
from node.api.services import ApiServices, Content
from node.api.shown import ShownIndex
from node.home.config import NodeConfig
from node.ledger.ledger import LedgerView

T = TypeVar("T")

PAGE_ENTRIES_MAX = 1_000
CURSOR_CHARS_MAX = 128
VERIFY_THREADS = 2


@dataclass(frozen=True)
class Api:
    """Everything that a route may use."""

    services: ApiServices
    config: NodeConfig
    loop: NodeLoop
    feed: Feed
    shown: ShownIndex
    threads: trio.CapacityLimiter
    """For work that would keep the API's loop too long."""

    @property
    def prefix(self) -> str:
        """The network's prefix of addresses."""
        return self.services.spec.prefix

    def parse_address(self, text: str) -> Address:
        """An account of this network; raises InvalidAddress."""
        return decode_address(self.prefix, text)

    def format_address(self, address: Address) -> str:
        """The address in bech32m."""
        return encode_address(self.prefix, address)


async def get_api(request: Request) -> Api:
    """The `Api` that `build_app` has stored in the application."""
    api: Api = request.app.state.api
    return api


ApiOf = Annotated[Api, Depends(get_api)]


async def get_view(api: ApiOf) -> LedgerView:
    """Chain and state at one head, for the length of a request."""
    return api.services.ledger.view


ViewOf = Annotated[LedgerView, Depends(get_view)]


async def check_token(api: ApiOf, request: Request) -> None:
    """Raises NotAuthorised unless the request shows this node's token."""
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    expected = api.services.token
    if scheme.lower() != "bearer" or not compare_digest(shown.encode(), expected.encode()) or not expected:
        raise NotAuthorised(
            "not_authorised",
            "this needs the node's token",
            "send it as `Authorization: Bearer`; see api-token",
        )


async def get_content(api: ApiOf) -> Content:
    """The node's content; raises NotReady where there is none."""
    if api.services.content is None:
        raise NotReady("no_content_store", "this node keeps no content")
    return api.services.content


ContentOf = Annotated[Content, Depends(get_content)]

HEX_HASH = r"^[0-9a-fA-F]{64}$"
HashPath = Annotated[str, Path(pattern=HEX_HASH, description="32 bytes, hex")]
AddressPath = Annotated[str, Path(max_length=90, description="bech32m")]
Limit = Annotated[int, Query(ge=1, le=PAGE_ENTRIES_MAX, description="entries of a page")]
Offset = Annotated[int, Query(ge=0, le=2**31 - 1)]
Cursor = Annotated[
    str,
    Query(
        pattern=r"^([0-9a-fA-F]{2})*$", max_length=CURSOR_CHARS_MAX, description="`next` of the page before"
    ),
]


class Page(NamedTuple, Generic[T]):
    """Some entries in the order of their keys, and where the next page begins; None at the end."""

    entries: list[tuple[bytes, T]]
    next: str | None


def read_page(
    view: LedgerView,
    storage: StorageMap[T],
    *parts: KeyPart,
    after: str,
    limit: int,
    accept: Callable[[bytes, T], bool] = lambda key, value: True,
    examined_max: int = PAGE_ENTRIES_MAX,
) -> Page[T]:
    """Up to `limit` entries that are accepted, of at most `examined_max` looked at; keys without `parts`."""
    prefix = storage.key(*parts)
    start = prefix + bytes.fromhex(after) + b"\0" if after else prefix
    entries: list[tuple[bytes, T]] = []
    last = b""
    pairs = view.state.scan(prefix, start)
    for key, data in islice(pairs, examined_max):
        if len(entries) == limit:
            return Page(entries, last.hex())
        last = key[len(prefix) :]
        value = decode_trusted(storage.kind, data)
        if accept(last, value):
            entries.append((last, value))
    return Page(entries, last.hex() if next(pairs, None) is not None else None)


def get_epoch(view: LedgerView) -> Epoch:
    """The epoch of the next block."""
    return system.compute_epoch(system.get_parameters(view.state), view.height + 1)
