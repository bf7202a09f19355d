"""The live feed (server-sent events): what became final, in order, for any number of slow readers.

Nothing is queued: each reader has a place (height, position) and reads the chain from there. So the feed can
be resumed anywhere, and a slow reader costs no memory. Position 0 of a height is its block; then come the
events of its start, each transaction with its events, and the events of its end.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import msgspec
import trio

from chain.block import Block, BlockReceipts, EventRecord
from chain.primitives.types import Height
from node.api.forms import format_block_summary, format_event, format_failure
from node.api.services import ApiServices
from p2p.notifier import Notifier

HEARTBEAT_SECONDS = 15.0


class Place(NamedTuple):
    """The next message that a reader wants."""

    height: Height
    position: int


class Feed:
    """Wakes the readers at a new head."""

    def __init__(self) -> None:
        self.changed = Notifier()
        self.readers = 0

    def on_block(self) -> None:
        """There is a new head."""
        self.changed.notify_all()


def format_place(place: Place) -> str:
    """The id of the message at a place."""
    return f"{place.height}.{place.position}"


def list_messages(block: Block, receipts: BlockReceipts, prefix: str) -> Iterator[tuple[str, Any]]:
    """(kind, content) of everything in a block, by position."""
    yield "block", format_block_summary(block.header, len(block.transactions), prefix)
    height = block.header.height
    yield from _list_events(receipts.start, height, None, prefix)
    for index, (signed, receipt) in enumerate(zip(block.transactions, receipts.transactions, strict=True)):
        tx_id = signed.id.hex()
        error = format_failure(receipt)
        yield "transaction", {"id": tx_id, "height": height, "index": index, "error": error}
        yield from _list_events(receipt.events, height, tx_id, prefix)
    yield from _list_events(receipts.end, height, None, prefix)


def _list_events(
    events: tuple[EventRecord, ...], height: Height, tx_id: str | None, prefix: str
) -> Iterator[tuple[str, Any]]:
    for event in events:
        yield "event", {"height": height, "transaction": tx_id, **format_event(event, prefix)}


async def stream_events(
    services: ApiServices, feed: Feed, place: Place, kinds: frozenset[str]
) -> AsyncIterator[bytes]:
    """Yields everything from a place on, for as long as the reader stays, and a comment every
    HEARTBEAT_SECONDS while nothing happens. Pruned blocks are skipped.
    """
    while True:
        changed = feed.changed.next
        view = services.ledger.view
        place = max(place, Place(max(view.chain.get_body_first(), 1), 0))
        block, receipts = view.get_block(place.height), view.get_receipts(place.height)
        del view  # a reader may stay here for hours: the store need not keep this head so long
        if block is not None and receipts is not None:
            for position, (kind, content) in enumerate(list_messages(block, receipts, services.spec.prefix)):
                if position >= place.position and kind in kinds:
                    yield _encode(Place(place.height, position), kind, content)
            place = Place(place.height + 1, 0)
            continue
        with trio.move_on_after(HEARTBEAT_SECONDS) as waiting:
            await changed.wait()
        if waiting.cancelled_caught:
            yield b": nothing new\n\n"


def _encode(place: Place, kind: str, content: Any) -> bytes:
    data = msgspec.json.encode(content)
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (format_place(place).encode(), kind.encode(), data)
