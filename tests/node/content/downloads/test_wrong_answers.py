"""Hosts that answer a request with any message of the protocol: the download goes on without them.

Every kind of reply is tried at every stage of a stream, with values that an honest host never sends.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from chain.content import CHUNK_BYTES, ChunkProof
from chain.modules import sessions
from chain.modules.sessions import SignedVoucher, Voucher
from chain.primitives.codec import Record
from p2p.network import Stream
from p2p.wire.messages import (
    Access,
    ChunkRefusal,
    ChunkReply,
    ChunksRequest,
    Granted,
    ManifestReply,
    ManifestRequest,
    Offer,
    OfferRequest,
    Refusal,
)
from p2p.wire.requests import send_message
from tests.node.content.downloads.scene import build_scene, check_same
from tests.node.content.downloads.test_liars import Liar, be_honest, download_beside, open_liar

HASH = b"\xff" * 32
VOUCHER = SignedVoucher(Voucher(HASH, HASH, HASH, 2**48, 2**62), HASH * 2)
STAGES = (Access, ManifestRequest, OfferRequest, ChunksRequest)
REPLIES: tuple[Record, ...] = (
    Granted(None, 0, (0, 1, 2, 3)),
    Granted(None, 4 * CHUNK_BYTES, (0, 1, 2, 3)),
    Granted(None, 0, (2**32 - 1, 0, 1, 2)),
    Granted(VOUCHER, 0, ()),
    Offer(b""),
    Offer(b"\xff" * 64),
    ManifestReply(b""),
    ChunkReply(2**32 - 1, b"x", ChunkProof(())),
    ChunkReply(0, b"x", ChunkProof((HASH,) * 24)),
    ChunkRefusal(0, 255),
    ChunkRefusal(2**32 - 1, 13),
    Refusal(255, "?"),
    Refusal(5, "spent"),
)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: type(reply).__name__)
async def test_no_answer_of_a_host_ends_the_download(
    tmp_path: Path, stage: type[Record], reply: Record
) -> None:
    """Whatever a host answers, it is paid at most its allotment, here one chunk; the other host delivers the
    datum.
    """

    class Wrong(Liar):
        async def react(self, stream: Stream, message: Record) -> None:
            if isinstance(message, stage):
                await send_message(stream, reply)
            else:
                await super().react(stream, message)

    scene = build_scene(tmp_path)
    async with scene.running():
        _, host = await scene.open(open_liar(scene, be_honest, kind=Wrong))
        limit = sessions.compute_price(CHUNK_BYTES, scene.chain.price)
        report, result, store = await download_beside(scene, replace(host, limit=limit))
        assert result.is_complete
        assert report.paid <= limit
        check_same(scene, store)
