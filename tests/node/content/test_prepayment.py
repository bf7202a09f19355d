"""Paying ahead, at the host: nothing is sent without pay; what a lost connection swallowed is sent again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chain.content import CHUNK_BYTES, compute_datum_id
from chain.modules import sessions
from chain.primitives.keys import KeyPair, is_signed_by
from chain.primitives.types import PublicKey, Signature
from node.content.debts import DEBT_BYTES_MAX, FALL_RATIO
from node.content.prepayment import PREPAID_BYTES_MAX
from node.content.vouchers import Delivery
from p2p.errors import PeerGone, RefusalCode, Refused
from p2p.network import Stream
from p2p.wire.messages import (
    ChunkRefusal,
    ChunkReply,
    ChunksRequest,
    Granted,
    Payment,
)
from p2p.wire.protocols import CONTENT
from p2p.wire.requests import open_stream, send_message
from storage.kv import MemoryStore
from tests.node.cluster import VIDYA
from tests.node.content.content_world import READER
from tests.node.content.serving_scene import (
    CHUNKS,
    QUICK,
    SIZE,
    Scene,
    build_scene,
    expect_refusal,
    fetch,
    receive,
)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """One host of two is in the session; the other holds the datum too."""
    return build_scene(tmp_path)


def get_chunks(replies: list[Any]) -> list[int]:
    """The numbers of the chunks that came, all of which must be chunks."""
    assert all(isinstance(reply, ChunkReply) for reply in replies)
    return [reply.chunk for reply in replies]


async def expect_granted(scene: Scene, host: Any, client: Any, stream: Stream, granted: Granted) -> None:
    """Asserts what the host says of the session."""
    assert await scene.access(host, client, stream) == granted


async def test_a_payer_who_does_not_pay_ahead_gets_nothing(scene: Scene) -> None:
    """Without a voucher not one chunk is sent, and the stream ends."""
    async with scene.open(limits=QUICK) as (host, client), scene.open_granted(host, client) as stream:
        await send_message(stream, ChunksRequest(tuple(range(6))))
        await expect_refusal(stream, RefusalCode.NOT_PAID)
        assert host.book.get(scene.session) is None


@pytest.mark.parametrize("paid", [1, CHUNK_BYTES - 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 1])
async def test_no_more_is_sent_than_is_paid(scene: Scene, paid: int) -> None:
    """So many whole chunks come as the voucher covers, and then the stream ends."""
    async with scene.open(limits=QUICK) as (host, client), scene.open_granted(host, client) as stream:
        await scene.pay(stream, paid)
        await send_message(stream, ChunksRequest(tuple(range(6))))
        covered = paid // CHUNK_BYTES
        assert get_chunks([await receive(stream) for _ in range(covered)]) == list(range(covered))
        await expect_refusal(stream, RefusalCode.NOT_PAID)


async def test_all_streams_of_a_session_share_what_is_paid(scene: Scene) -> None:
    """A second stream of the session, at the same time or later, brings nothing that is not paid."""
    async with scene.open(limits=QUICK) as (host, client), scene.open_granted(host, client) as stream:
        await scene.pay(stream, 2 * CHUNK_BYTES)
        assert get_chunks(await fetch(stream, 0)) == [0]
        async with scene.open_granted(host, client) as second:
            assert get_chunks(await fetch(second, 1)) == [1]
            await send_message(second, ChunksRequest((2,)))
            await expect_refusal(second, RefusalCode.NOT_PAID)


async def test_vouchers_are_verified_by_what_the_node_gives(scene: Scene) -> None:
    """The service asks the node's memory of signatures about each voucher."""
    seen: list[Signature] = []

    def verify(key: PublicKey, message: bytes, signature: Signature) -> bool:
        seen.append(signature)
        return is_signed_by(key, message, signature)

    async with scene.open(verify=verify) as (host, client), scene.open_granted(host, client) as stream:
        signed = scene.sign(CHUNK_BYTES)
        await send_message(stream, Payment(signed))
        await fetch(stream, 0)
    assert seen == [signed.signature]


async def test_each_voucher_brings_its_chunk(scene: Scene) -> None:
    """Chunk by chunk up to the last, which costs its own size; the book has voucher and count."""
    async with scene.open() as (host, client), scene.open_granted(host, client) as stream:
        await send_message(stream, ChunksRequest(tuple(range(CHUNKS))))
        got = 0
        for chunk in range(CHUNKS):
            await scene.pay(stream, min(got + CHUNK_BYTES, SIZE))
            got += len((await receive(stream)).content)
            assert got == min((chunk + 1) * CHUNK_BYTES, SIZE)
        await stream.close()
        with pytest.raises(PeerGone):
            await stream.receive()
        assert host.book.get(scene.session) == scene.sign(SIZE)
        assert host.book.get_delivery(scene.session) == Delivery(SIZE, tuple(range(CHUNKS - 8, CHUNKS)))


async def test_what_a_cut_swallowed_is_sent_again(scene: Scene) -> None:
    """The next stream names the chunks that count as sent; each comes again without pay, and no other."""
    async with scene.open(limits=QUICK) as (host, client):
        async with scene.open_granted(host, client) as stream:
            await scene.pay(stream, 4 * CHUNK_BYTES)
            await fetch(stream, 0, 1, 2, 3)
            await stream.reset()
        async with open_stream(client, host.network.peer_id, CONTENT) as stream:
            granted = Granted(scene.sign(4 * CHUNK_BYTES), 4 * CHUNK_BYTES, (0, 1, 2, 3))
            await expect_granted(scene, host, client, stream, granted)
            assert get_chunks(await fetch(stream, 2, 3, is_again=True)) == [2, 3]
            assert await fetch(stream, 7, is_again=True) == [ChunkRefusal(7, RefusalCode.PAYER_OWES)]
            await send_message(stream, ChunksRequest((2,)))
            await expect_refusal(stream, RefusalCode.NOT_PAID)
        assert host.debts.get(READER.address) == 2 * CHUNK_BYTES


async def test_a_debt_counts_in_every_session_of_a_payer(scene: Scene) -> None:
    """What was sent again in one session leaves nothing to be sent again in the next, however many there
    are.
    """
    refused = [ChunkRefusal(0, RefusalCode.PAYER_OWES)]
    async with scene.open() as (host, client):
        async with scene.open_granted(host, client) as stream:
            await scene.pay(stream, 4 * CHUNK_BYTES)
            await fetch(stream, 0, 1, 2, 3)
            await fetch(stream, 0, 1, 2, 3, is_again=True)
        for _ in range(3):
            scene.session = scene.chain.open_session(compute_datum_id(scene.manifest), [VIDYA])
            async with scene.open_granted(host, client) as stream:
                await scene.pay(stream, CHUNK_BYTES)
                assert get_chunks(await fetch(stream, 0)) == [0]
                assert await fetch(stream, 0, is_again=True) == refused
        assert host.debts.get(READER.address) > DEBT_BYTES_MAX - CHUNK_BYTES


async def test_a_debt_falls_as_the_payer_pays(scene: Scene) -> None:
    """After FALL_RATIO chunks were paid, one more chunk is sent again for free."""
    async with scene.open() as (host, client), scene.open_granted(host, client) as stream:
        await scene.pay(stream, CHUNK_BYTES)
        await fetch(stream, 0)
        for _ in range(DEBT_BYTES_MAX // CHUNK_BYTES):
            assert get_chunks(await fetch(stream, 0, is_again=True)) == [0]
        assert await fetch(stream, 0, is_again=True) == [ChunkRefusal(0, RefusalCode.PAYER_OWES)]
        await scene.pay(stream, (1 + FALL_RATIO) * CHUNK_BYTES)
        assert get_chunks(await fetch(stream, 0, is_again=True)) == [0]
        assert host.debts.get(READER.address) == DEBT_BYTES_MAX


async def test_the_allotment_is_the_end(scene: Scene) -> None:
    """A chunk that the allotment does not cover is refused at once."""
    chain = scene.chain
    limit = sessions.compute_price(3 * CHUNK_BYTES, chain.price)
    scene.session = chain.open_session(compute_datum_id(scene.manifest), [limit])
    async with scene.open() as (host, client), scene.open_granted(host, client) as stream:
        await scene.pay(stream, 3 * CHUNK_BYTES)
        await send_message(stream, ChunksRequest((0, 1, 2, 3)))
        assert get_chunks([await receive(stream) for _ in range(3)]) == [0, 1, 2]
        await expect_refusal(stream, RefusalCode.NOT_PAID)


@pytest.mark.parametrize(
    "changes",
    [
        {"size_bytes": CHUNK_BYTES - 1},
        {"size_bytes": 2 * CHUNK_BYTES, "key": KeyPair(b"x" * 32)},
        {"size_bytes": 2 * CHUNK_BYTES, "session": b"x" * 32},
        {"size_bytes": 2 * CHUNK_BYTES, "genesis_hash": b"x" * 32},
        {"size_bytes": 2 * CHUNK_BYTES, "amount": 1},
        {"size_bytes": 2**30},
    ],
    ids=["lower", "key", "session", "network", "amount", "overdraft"],
)
async def test_a_bad_voucher_ends_the_stream_and_changes_nothing(
    scene: Scene, changes: dict[str, Any]
) -> None:
    """The client gets VOUCHER_INVALID; the best voucher is still the one before."""
    async with scene.open() as (host, client), scene.open_granted(host, client) as stream:
        await scene.pay(stream, CHUNK_BYTES)
        await fetch(stream, 0)
        await send_message(stream, Payment(scene.sign(**changes)))
        await expect_refusal(stream, RefusalCode.VOUCHER_INVALID)
        assert host.book.get(scene.session) == scene.sign(CHUNK_BYTES)


async def test_a_voucher_sent_twice_counts_once(scene: Scene) -> None:
    """A client that reconnects repeats its voucher; that brings nothing and costs nothing."""
    async with scene.open(limits=QUICK) as (host, client), scene.open_granted(host, client) as stream:
        await scene.pay(stream, CHUNK_BYTES)
        await scene.pay(stream, CHUNK_BYTES)
        assert get_chunks(await fetch(stream, 0)) == [0]
        await send_message(stream, ChunksRequest((1,)))
        await expect_refusal(stream, RefusalCode.NOT_PAID)


async def test_a_host_that_dies_believes_its_book(scene: Scene) -> None:
    """The next process has the last voucher and what was sent when it came: it owes the client what was under
    way, and at most 1 MiB is sent twice.
    """
    vouchers = MemoryStore()
    async with scene.open(vouchers=vouchers) as (host, client), scene.open_granted(host, client) as stream:
        await scene.pay(stream, CHUNK_BYTES)
        await fetch(stream, 0)
        await scene.pay(stream, 5 * CHUNK_BYTES)
        await fetch(stream, 1, 2)
        dead = MemoryStore()
        dead.write_batch(vouchers.iterate())
        await stream.reset()
    async with scene.open(vouchers=dead, limits=QUICK) as (host, client):  # noqa: SIM117
        async with open_stream(client, host.network.peer_id, CONTENT) as stream:
            granted = Granted(scene.sign(5 * CHUNK_BYTES), CHUNK_BYTES, (0,))
            await expect_granted(scene, host, client, stream, granted)
            assert get_chunks(await fetch(stream, 3, 4, 5, 6)) == [3, 4, 5, 6]
            await send_message(stream, ChunksRequest((7,)))
            await expect_refusal(stream, RefusalCode.NOT_PAID)


async def test_what_a_dead_host_forgets_is_bounded_however_far_a_client_pays_ahead(scene: Scene) -> None:
    """The count of sent bytes is written at least once per MiB."""
    async with scene.open() as (host, client), scene.open_paid(host, client) as stream:
        got = 0
        for chunk in range(CHUNKS):
            got += len((await fetch(stream, chunk))[0].content)
            delivery = host.book.get_delivery(scene.session)
            assert delivery is not None and got - delivery.sent_bytes < PREPAID_BYTES_MAX


async def test_a_host_that_lost_its_book_sends_nothing_twice(scene: Scene) -> None:
    """What the chain has settled counts as sent."""
    chain = scene.chain
    chain.grow(chain.sign_duty(sessions.Settle(scene.sign(8 * CHUNK_BYTES))))
    async with scene.open(limits=QUICK) as (host, client):  # noqa: SIM117
        async with open_stream(client, host.network.peer_id, CONTENT) as stream:
            await expect_granted(scene, host, client, stream, Granted(None, 8 * CHUNK_BYTES, ()))
            await send_message(stream, ChunksRequest((0,)))
            await expect_refusal(stream, RefusalCode.NOT_PAID)


async def test_a_client_of_the_version_before_is_refused(scene: Scene) -> None:
    """Its protocol's name is unknown here, so no message can be misunderstood."""
    async with scene.open() as (host, client):
        with pytest.raises(Refused) as refused:
            await client.open(host.network.peer_id, replace(CONTENT, version=CONTENT.version - 1))
        assert refused.value.code is RefusalCode.PROTOCOL_UNKNOWN
