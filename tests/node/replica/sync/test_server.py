"""The sync server: what peers that sync get."""

from itertools import accumulate

import pytest

from chain.primitives.codec import encode
from node.ledger.ledger import Ledger
from node.replica.sync import server as answers
from node.replica.sync.server import SyncServer
from p2p.errors import RefusalCode, Refused
from p2p.wire.messages import Blocks, BlocksRequest, Headers, HeadersRequest, Status, StatusRequest
from tests.node.replica.sync.lies import HEIGHT, History, build_history


@pytest.fixture(scope="module")
def history() -> History:
    """An honest chain."""
    return build_history()


@pytest.mark.parametrize(
    ("start", "count", "heights"),
    [
        (1, 64, [1, 2, 3, 4, 5, 6]),
        (3, 2, [3, 4]),
        (HEIGHT, 1, [HEIGHT]),
        (HEIGHT + 1, 5, []),
        (2**62, 5, []),
        (0, 3, []),
    ],
)
def test_answers_begin_at_the_start_and_end_at_the_head(
    history: History, start: int, count: int, heights: list[int]
) -> None:
    """A reply has at most the heights that were requested and exist; genesis has no certificate."""
    told = SyncServer(history.forge.ledger)
    blocks = told.answer(BlocksRequest(start, count))
    assert isinstance(blocks, Blocks)
    assert list(blocks.blocks) == [history.blocks[height - 1] for height in heights]
    headers = told.answer(HeadersRequest(start, count))
    assert isinstance(headers, Headers)
    assert [final.certificate.height for final in headers.headers] == heights


def test_a_reply_fits_into_a_frame_and_is_never_empty_for_its_size(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One block is always sent, more only while they fit."""
    told = SyncServer(history.forge.ledger)
    sizes = [len(final.block) + len(encode(final.certificate)) for final in history.blocks]
    for limit in (0, sizes[0], sum(sizes[:3]) - 1, sum(sizes[:3]), sum(sizes)):
        monkeypatch.setattr(answers, "REPLY_BYTES_MAX", limit)
        reply = told.answer(BlocksRequest(1, 64))
        assert isinstance(reply, Blocks)
        fitting = sum(total <= limit for total in accumulate(sizes))
        assert len(reply.blocks) == max(1, fitting)


def test_the_height_is_told_with_the_hash_and_the_oldest_block() -> None:
    """Pruned blocks are refused, so that the peer knows it for no lie."""
    history = build_history()
    ledger = history.forge.ledger
    told = SyncServer(ledger)
    assert told.answer(StatusRequest()) == Status(HEIGHT, ledger.head_hash, 0)
    ledger._store.write_batch(ledger.chain.stage_prune(4, 20))
    told = SyncServer(Ledger(ledger._store, ledger.spec))
    assert told.answer(StatusRequest()) == Status(HEIGHT, ledger.head_hash, 4)
    with pytest.raises(Refused) as caught:
        told.answer(BlocksRequest(3, 5))
    assert caught.value.code is RefusalCode.NOT_FOUND
    reply = told.answer(BlocksRequest(4, 1))
    assert isinstance(reply, Blocks) and len(reply.blocks) == 1


def test_an_answer_is_no_request(history: History) -> None:
    """A message that is no request of sync is refused."""
    with pytest.raises(Refused):
        SyncServer(history.forge.ledger).answer(Status(1, bytes(32), 0))  # type: ignore[arg-type]
