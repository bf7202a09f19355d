"""The content service, used by clients that speak the protocol step by step: who is served, and with what."""

from pathlib import Path
from typing import Any

import pytest

from chain.content import CHUNK_BYTES, check_chunk, decode_manifest
from chain.modules import sessions
from chain.primitives.keys import KeyPair
from node.content.service import ServiceLimits
from p2p.errors import PeerGone, RefusalCode, Refused
from p2p.wire.messages import (
    Cancel,
    ChunkRefusal,
    ChunkReply,
    ChunksRequest,
    ManifestReply,
    ManifestRequest,
    Offer,
    OfferRequest,
)
from p2p.wire.protocols import CONTENT
from p2p.wire.requests import ask, open_stream, send_message
from tests.node.content.content_world import (
    READER,
)
from tests.node.content.serving_scene import CHUNKS, SIZE, Scene, build_scene, expect_refusal, fetch, receive


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """One host of two is in the session; the other holds the datum too."""
    return build_scene(tmp_path)


# Who is served.


async def test_a_member_gets_what_it_asks_for(scene: Scene) -> None:
    """Offer, manifest and chunks of the session's datum; each chunk verifies with its proof."""
    async with scene.open() as (host, client), scene.open_paid(host, client) as stream:
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
        async with scene.open_paid(host, client) as stream:
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


# Chunks.


async def test_a_chunk_that_rotted_is_refused_alone(scene: Scene) -> None:
    """The store finds the damage when it reads; the chunk is not counted as sent, and the others come."""
    async with scene.open() as (host, client), scene.open_granted(host, client) as stream:
        await scene.pay(stream, 4 * CHUNK_BYTES)
        with (scene.source / "b.bin").open("r+b") as file:
            file.seek(-2 * CHUNK_BYTES, 2)
            file.write(b"rot")
        replies = await fetch(stream, 0, CHUNKS - 3, 1, 2, 3)
        assert replies[1] == ChunkRefusal(CHUNKS - 3, RefusalCode.NOT_FOUND)
        assert [reply.chunk for reply in replies if isinstance(reply, ChunkReply)] == [0, 1, 2, 3]


async def test_a_cancelled_chunk_is_answered_and_not_charged(scene: Scene) -> None:
    """A cancelled chunk that waits for a voucher makes room for the next answer."""
    async with scene.open() as (host, client), scene.open_granted(host, client) as stream:
        await send_message(stream, ChunksRequest((4, 5)))
        await send_message(stream, Cancel(4))
        assert await receive(stream) == ChunkRefusal(4, RefusalCode.CANCELLED)
        await scene.pay(stream, CHUNK_BYTES)
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
