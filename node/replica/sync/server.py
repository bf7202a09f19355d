"""Answers peers that sync: heights, blocks with their certificates, headers.

Synchronous. It only reads entries that are written once, so any thread may call it. A reply is bounded by the
request, by REPLY_BYTES_MAX and by the head.
"""

from collections.abc import Iterator

from chain.primitives.codec import encode
from chain.primitives.types import Height
from node.ledger.ledger import LedgerReader
from p2p.errors import RefusalCode, Refused
from p2p.wire.messages import (
    BLOCK_BYTES_MAX,
    Blocks,
    BlocksRequest,
    FinalBlock,
    FinalHeader,
    Headers,
    HeadersRequest,
    Status,
    StatusRequest,
    SyncReply,
    SyncRequest,
)

REPLY_BYTES_MAX = 2 * 2**20
HEADER_BYTES = 16 * 2**10
"""Of a header with its certificate, at 100 validators."""
STATUS_BYTES = 256


class SyncServer:
    """Answers from one ledger."""

    def __init__(self, ledger: LedgerReader) -> None:
        self._ledger = ledger

    def answer(self, message: SyncRequest) -> SyncReply:
        """The reply; raises Refused."""
        match message:
            case StatusRequest():
                return self._build_status()
            case BlocksRequest(start, count):
                return Blocks(start, tuple(self._read_blocks(start, count)))
            case HeadersRequest(start, count):
                return Headers(start, tuple(self._read_headers(start, count)))
            case _:
                raise Refused(RefusalCode.NOT_SERVED)

    def _build_status(self) -> Status:
        chain = self._ledger.view.chain
        extent = chain.get_extent()
        assert extent is not None  # A ledger stores genesis before it is there to be asked.
        return Status(extent.head, extent.head_hash, chain.get_body_first())

    def _read_blocks(self, start: Height, count: int) -> Iterator[FinalBlock]:
        """Blocks in order, as many as exist and fit; raises Refused if the first one was pruned."""
        view, size = self._ledger.view, 0
        if start < view.chain.get_body_first():
            raise Refused(RefusalCode.NOT_FOUND, "not kept any more")
        for height in range(start, start + count):
            block, certificate = view.chain.get_block(height), view.get_certificate(height)
            if block is None or certificate is None:
                return
            is_first, size = size == 0, size + len(block) + len(encode(certificate))
            if size > REPLY_BYTES_MAX and not is_first:
                return
            yield FinalBlock(block, certificate)

    def _read_headers(self, start: Height, count: int) -> Iterator[FinalHeader]:
        view = self._ledger.view
        for height in range(start, start + count):
            header, certificate = view.chain.get_header(height), view.get_certificate(height)
            if header is None or certificate is None:
                return
            yield FinalHeader(header, certificate)


def compute_reply_bytes_max(message: SyncRequest) -> int:
    """The most bytes that the answer can have, for the budget of answers."""
    match message:
        case BlocksRequest(_, count):
            return min(REPLY_BYTES_MAX, count * BLOCK_BYTES_MAX)
        case HeadersRequest(_, count):
            return count * HEADER_BYTES
        case _:
            return STATUS_BYTES
