"""The content service, used by clients that speak the protocol step by step: who is served, how far,
for what.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from chain.content import CHUNK_BYTES, Manifest, check_chunk, compute_datum_id, decode_manifest
from chain.modules import sessions
from chain.modules.sessions import SignedVoucher, Voucher
from chain.primitives.codec import replace
from chain.primitives.keys import KeyPair, is_signed_by
from chain.primitives.types import Hash, PublicKey, Signature
from node.content.credit import CREDIT_BYTES, RESENDS_MAX
from node.content.service import ServiceLimits
from p2p.errors import PeerGone, RefusalCode, Refused
from p2p.memory import MemoryHub
from p2p.network import Stream
from p2p.switch.switch import Switch
from p2p.wire.messages import (
    Cancel,
    ChunkRefusal,
    ChunkReply,
    ChunksRequest,
    ContentReply,
    Granted,
    ManifestReply,
    ManifestRequest,
    Offer,
    OfferRequest,
    Payment,
    sign_access,
)
from p2p.wire.protocols import CONTENT
from p2p.wire.requests import ask, build_refused, open_stream, receive_message, send_message
from storage.content.tree import build_datum
from storage.kv import MemoryStore
from tests.node.cluster import VIDYA
from tests.node.content.content_world import (
    READER,
    VOUCHER_KEY,
    ContentChain,
    ContentHost,
    open_host,
    write_source,
)

CHUNKS = 12
SIZE = (CHUNKS - 1) * CHUNK_BYTES + 1000
QUICK = ServiceLimits(voucher_seconds_max=0.05)


@dataclass
class Scene:
    """A chain with one open session, and a datum's source."""

    chain: ContentChain
    source: Path
    manifest: Manifest
    session: Hash
    path: Path
    hub: MemoryHub

    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[tuple[ContentHost, Switch]]:
        """The first host, serving, and the network of a client that is connected with it."""
        hosting = open_host(self.hub, self.chain, self.chain.hosts[0], self.path, self.source, **options)
        async with hosting as host, self.hub.open_network(b"c" * 32, self.genesis_hash) as client:
            with trio.fail_after(20):
                await client.connect(host.network.addresses[0])
                yield host, client

    @property
    def genesis_hash(self) -> Hash:
        """The chain's."""
        return self.chain.ledger.genesis_hash

    async def access(self, host: ContentHost, client: Switch, stream: Stream, **changes: Any) -> Granted:
        """Sends Access, valid but for the changes, and returns the answer; raises Refused."""
        given = {
            "key": VOUCHER_KEY,
            "session": self.session,
            "opened_at": self.chain.ledger.height,
            "as_client": client.peer_id,
            "for_host": host.network.peer_id,
        } | changes
        claim = given["session"], given["opened_at"], given["as_client"], given["for_host"]
        access = sign_access(given["key"], self.genesis_hash, *claim)
        return await ask(stream, access, Granted, 10)

    @asynccontextmanager
    async def open_granted(self, host: ContentHost, client: Switch) -> AsyncIterator[Stream]:
        """A stream on which access was granted."""
        async with open_stream(client, host.network.peer_id, CONTENT) as stream:
            await self.access(host, client, stream)
            yield stream

    def sign(self, size_bytes: int, key: KeyPair = VOUCHER_KEY, **changes: Any) -> SignedVoucher:
        """A voucher for the first host, valid but for the changes."""
        amount = sessions.compute_price(size_bytes, self.chain.price)
        host = self.chain.hosts[0].address
        voucher = Voucher(self.genesis_hash, self.session, host, size_bytes, amount)
        return sessions.sign_voucher(key, replace(voucher, **changes))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """One host of two is in the session; the other holds the datum too."""
    source = write_source(tmp_path, SIZE)
    manifest, chain = build_datum(source).manifest, ContentChain(2)
    session = chain.open_session(chain.host(manifest), [VIDYA])
    return Scene(chain, source, manifest, session, tmp_path, MemoryHub())


async def receive(stream: Stream) -> Any:
    """The next reply."""
    return await receive_message(stream, ContentReply)


async def fetch(stream: Stream, *chunks: int) -> list[Any]:
    """Asks for chunks and receives one answer for each."""
    await send_message(stream, ChunksRequest(chunks))
    return [await receive(stream) for _ in chunks]


async def expect_refusal(stream: Stream, code: RefusalCode) -> None:
    """Asserts that the next message is this refusal and that the stream ends."""
    refusal = build_refused(await receive(stream))
    assert isinstance(refusal, Refused)
    assert refusal.code is code
    with pytest.raises(PeerGone):
        await stream.receive()


# Who is served.


async def test_a_member_gets_what_it_asks_for(scene: Scene) -> None:
    """Offer, manifest and chunks of the session's datum; each chunk verifies with its proof."""
    async with scene.open() as (host, client), scene.open_granted(host, client) as stream:
        offer = await ask(stream, OfferRequest(), Offer, 10)
        assert int.from_bytes(offer.bitmap, "little") == 2**CHUNKS - 1
        reply = await ask(stream, ManifestRequest(), ManifestReply, 10)
        assert decode_manifest(reply.manifest) == scene.manifest
        for chunk in await fetch(stream, 0, CHUNKS - 1, 5):
            check_chunk(scene.manifest.root, SIZE, chunk.chunk, chunk.content, chunk.proof)


async def test_a_stranger_is_refused_before_it_learns_anything(scene: Scene) -> None:
    """Without a session on chain the first answer is NOT_MEMBER, whatever session is made up."""
    async with scene.open() as (host, client):
        async with open_stream(client, host.network.peer_id, CONTENT) as stream:
            with pytest.raises(Refused) as refused:
                await scene.access(host, client, stream, session=b"x" * 32)
        assert refused.value.code is RefusalCode.NOT_MEMBER


@pytest.mark.parametrize(
    "changes", [{"key": KeyPair(b"x" * 32)}, {"as_client": b"another"}, {"for_host": b"another"}]
)
async def test_the_session_of_another_member_is_refused(scene: Scene, changes: dict[str, Any]) -> None:
    """Access that the session's key did not sign for this client and this host is refused and blamed."""
    async with scene.open() as (host, client):
        async with open_stream(client, host.network.peer_id, CONTENT) as stream:
            with pytest.raises(Refused) as refused:
                await scene.access(host, client, stream, **changes)
        assert refused.value.code is RefusalCode.NOT_MEMBER
        assert host.network.scores.get_score(client.peer_id) < 100


@pytest.mark.parametrize(("ahead", "code"), [(1, RefusalCode.NOT_YET), (1000, RefusalCode.NOT_MEMBER)])
async def test_a_session_above_the_head_is_not_yet_known(scene: Scene, ahead: int, code: RefusalCode) -> None:
    """A session opened one block above the head is NOT_YET; one claimed far above is refused."""
    opened_at = scene.chain.ledger.height + ahead
    async with scene.open() as (host, client):
        async with open_stream(client, host.network.peer_id, CONTENT) as stream:
            with pytest.raises(Refused) as refused:
                await scene.access(host, client, stream, session=b"x" * 32, opened_at=opened_at)
        assert refused.value.code is code


async def test_a_session_without_allotment_for_this_host_is_not_served(scene: Scene) -> None:
    """A host that the session does not pay serves nothing."""
    scene.chain.hosts.reverse()
    async with scene.open() as (host, client):
        async with open_stream(client, host.network.peer_id, CONTENT) as stream:
            with pytest.raises(Refused) as refused:
                await scene.access(host, client, stream)
        assert refused.value.code is RefusalCode.NOT_SERVED


async def test_a_closed_session_is_served_no_more(scene: Scene) -> None:
    """Neither on an open stream nor on a new one."""
    async with scene.open() as (host, client):
        async with scene.open_granted(host, client) as stream:
            await fetch(stream, 0)
            scene.chain.grow(scene.chain.sign(READER, sessions.CloseSession(scene.session)))
            await send_message(stream, ChunksRequest((1,)))
            await expect_refusal(stream, RefusalCode.SESSION_OVER)
        async with open_stream(client, host.network.peer_id, CONTENT) as stream:
            with pytest.raises(Refused) as refused:
                await scene.access(host, client, stream)
        assert refused.value.code is RefusalCode.SESSION_OVER


async def test_streams_are_bounded(scene: Scene) -> None:
    """A session with too many streams is told BUSY."""
    limits = ServiceLimits(streams_per_session_max=1)
    async with scene.open(limits=limits) as (host, client), scene.open_granted(host, client):
        async with open_stream(client, host.network.peer_id, CONTENT) as stream:
            with pytest.raises(Refused) as refused:
                await scene.access(host, client, stream)
        assert refused.value.code is RefusalCode.BUSY


# Credit.


async def test_no_more_than_the_credit_goes_out_unpaid(scene: Scene) -> None:
    """Four chunks come without a voucher, then no more; without a voucher the stream ends."""
    async with scene.open(limits=QUICK) as (host, client), scene.open_granted(host, client) as stream:
        await send_message(stream, ChunksRequest(tuple(range(6))))
        assert [(await receive(stream)).chunk for _ in range(4)] == [0, 1, 2, 3]
        await expect_refusal(stream, RefusalCode.CREDIT_EXHAUSTED)


async def test_vouchers_are_verified_by_what_the_node_gives(scene: Scene) -> None:
    """The service asks the node's memory of signatures about each voucher."""
    seen: list[Signature] = []

    def verify(key: PublicKey, message: bytes, signature: Signature) -> bool:
        seen.append(signature)
        return is_signed_by(key, message, signature)

    async with scene.open(verify=verify) as (host, client), scene.open_granted(host, client) as stream:
        await fetch(stream, 0)
        signed = scene.sign(CHUNK_BYTES)
        await send_message(stream, Payment(signed))
        await fetch(stream, 1)
    assert seen == [signed.signature]


async def test_a_voucher_gives_credit(scene: Scene) -> None:
    """Each paid chunk lets another one be sent, up to the last."""
    async with scene.open() as (host, client), scene.open_granted(host, client) as stream:
        await send_message(stream, ChunksRequest(tuple(range(CHUNKS))))
        got = 0
        for _ in range(CHUNKS):
            got += len((await receive(stream)).content)
            await send_message(stream, Payment(scene.sign(got)))
        assert got == SIZE
        await stream.close()
        with pytest.raises(PeerGone):
            await stream.receive()
        assert host.book.get(scene.session) == scene.sign(SIZE)


async def test_coming_back_gives_no_new_credit(scene: Scene) -> None:
    """Unpaid chunks stay unpaid on the next stream; the same chunks are sent again, and no others."""
    async with scene.open(limits=QUICK) as (host, client):
        async with scene.open_granted(host, client) as stream:
            await fetch(stream, 0, 1, 2, 3)
        async with open_stream(client, host.network.peer_id, CONTENT) as stream:
            granted = await scene.access(host, client, stream)
            assert granted == Granted(None, (0, 1, 2, 3))
            assert [chunk.chunk for chunk in await fetch(stream, 2, 3)] == [2, 3]
            await send_message(stream, ChunksRequest((4,)))
            await expect_refusal(stream, RefusalCode.CREDIT_EXHAUSTED)


async def test_sending_again_is_bounded(scene: Scene) -> None:
    """Unpaid chunks are sent again RESENDS_MAX times at most."""
    async with scene.open(limits=QUICK) as (host, client), scene.open_granted(host, client) as stream:
        await fetch(stream, 0)
        for _ in range(RESENDS_MAX):
            assert isinstance((await fetch(stream, 0))[0], ChunkReply)
        await send_message(stream, ChunksRequest((0,)))
        await expect_refusal(stream, RefusalCode.CREDIT_EXHAUSTED)


async def test_the_allotment_is_the_end(scene: Scene) -> None:
    """A chunk that the allotment does not cover is refused at once."""
    chain = scene.chain
    limit = sessions.compute_price(3 * CHUNK_BYTES, chain.price)
    scene.session = chain.open_session(compute_datum_id(scene.manifest), [limit])
    async with scene.open() as (host, client), scene.open_granted(host, client) as stream:
        await send_message(stream, ChunksRequest((0, 1, 2, 3)))
        assert [(await receive(stream)).chunk for _ in range(3)] == [0, 1, 2]
        await expect_refusal(stream, RefusalCode.CREDIT_EXHAUSTED)


@pytest.mark.parametrize(
    "changes",
    [
        {"size_bytes": CHUNK_BYTES},
        {"size_bytes": CHUNK_BYTES - 1},
        {"size_bytes": 2 * CHUNK_BYTES, "key": KeyPair(b"x" * 32)},
        {"size_bytes": 2 * CHUNK_BYTES, "session": b"x" * 32},
        {"size_bytes": 2 * CHUNK_BYTES, "genesis_hash": b"x" * 32},
        {"size_bytes": 2 * CHUNK_BYTES, "amount": 1},
        {"size_bytes": 2**30},
    ],
    ids=["replayed", "lower", "key", "session", "network", "amount", "overdraft"],
)
async def test_a_bad_voucher_ends_the_stream_and_changes_nothing(
    scene: Scene, changes: dict[str, Any]
) -> None:
    """The client gets VOUCHER_INVALID; the best voucher is still the one before."""
    async with scene.open() as (host, client), scene.open_granted(host, client) as stream:
        await fetch(stream, 0, 1)
        await send_message(stream, Payment(scene.sign(CHUNK_BYTES)))
        await send_message(stream, Payment(scene.sign(**changes)))
        await expect_refusal(stream, RefusalCode.VOUCHER_INVALID)
        assert host.book.get(scene.session) == scene.sign(CHUNK_BYTES)


async def test_a_crash_of_the_host_loses_no_voucher(scene: Scene) -> None:
    """The voucher whose credit was used is in the database that the next process opens."""
    vouchers = MemoryStore()
    async with scene.open(vouchers=vouchers) as (host, client), scene.open_granted(host, client) as stream:
        await send_message(stream, ChunksRequest(tuple(range(5))))
        for _ in range(4):
            await receive(stream)
        await send_message(stream, Payment(scene.sign(CHUNK_BYTES)))
        assert (await receive(stream)).chunk == 4
        await stream.reset()
    async with scene.open(vouchers=vouchers) as (host, client):
        async with open_stream(client, host.network.peer_id, CONTENT) as stream:
            granted = await scene.access(host, client, stream)
        assert granted == Granted(scene.sign(CHUNK_BYTES), ())
        assert 5 * CHUNK_BYTES - granted.best.voucher.bytes <= CREDIT_BYTES


async def test_one_chunk_at_a_time_a_crash_loses_one_chunk(scene: Scene) -> None:
    """With a client that asks for one chunk at a time, at most the last chunk is unpaid."""
    vouchers = MemoryStore()
    async with scene.open(vouchers=vouchers) as (host, client), scene.open_granted(host, client) as stream:
        for chunk in range(3):
            await fetch(stream, chunk)
            if chunk < 2:
                await send_message(stream, Payment(scene.sign((chunk + 1) * CHUNK_BYTES)))
        await stream.reset()
    async with scene.open(vouchers=vouchers) as (host, _):
        assert host.book.get(scene.session) == scene.sign(2 * CHUNK_BYTES)


# Chunks.


async def test_a_chunk_that_rotted_is_refused_alone(scene: Scene) -> None:
    """The store finds the damage when it reads; the chunk costs no credit, and the others come."""
    async with scene.open() as (host, client), scene.open_granted(host, client) as stream:
        with (scene.source / "b.bin").open("r+b") as file:
            file.seek(-2 * CHUNK_BYTES, 2)
            file.write(b"rot")
        replies = await fetch(stream, 0, CHUNKS - 3, 1, 2, 3)
        assert replies[1] == ChunkRefusal(CHUNKS - 3, RefusalCode.NOT_FOUND)
        assert [reply.chunk for reply in replies if isinstance(reply, ChunkReply)] == [0, 1, 2, 3]


async def test_a_cancelled_chunk_is_answered_and_not_charged(scene: Scene) -> None:
    """A cancelled chunk that waits for credit makes room for the next answer."""
    async with scene.open() as (host, client), scene.open_granted(host, client) as stream:
        await fetch(stream, 0, 1, 2, 3)
        await send_message(stream, ChunksRequest((4, 5)))
        await send_message(stream, Cancel(4))
        assert await receive(stream) == ChunkRefusal(4, RefusalCode.CANCELLED)
        await send_message(stream, Payment(scene.sign(CHUNK_BYTES)))
        assert (await receive(stream)).chunk == 5


@pytest.mark.parametrize("chunks", [(CHUNKS,), (2**32 - 1,)])
async def test_a_chunk_that_does_not_exist_is_a_fault(scene: Scene, chunks: tuple[int, ...]) -> None:
    """Asking for it ends the stream and costs points."""
    async with scene.open() as (host, client), scene.open_granted(host, client) as stream:
        await send_message(stream, ChunksRequest(chunks))
        with pytest.raises(PeerGone):
            await receive(stream)
        assert host.network.scores.get_score(client.peer_id) < 100


async def test_requests_under_way_are_bounded(scene: Scene) -> None:
    """A client with too many requests under way is cut off."""
    async with scene.open() as (host, client), scene.open_granted(host, client) as stream:
        with pytest.raises(PeerGone):
            for _ in range(8):
                await send_message(stream, ChunksRequest(tuple(range(CHUNKS))))
            while True:
                await receive(stream)
        assert host.network.scores.get_score(client.peer_id) < 100


async def test_nothing_but_access_begins_a_stream(scene: Scene) -> None:
    """A request before Access is a fault."""
    async with scene.open() as (host, client):
        stream = await client.open(host.network.peer_id, CONTENT)
        await send_message(stream, OfferRequest())
        with pytest.raises(PeerGone):
            await receive(stream)
        assert host.network.scores.get_score(client.peer_id) < 100
