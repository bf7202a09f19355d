"""Downloads from hosts that lie, stall, offer chunks they do not have, or hold a part."""

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chain.content import CHUNK_BYTES, compute_chunk_size
from chain.modules import sessions
from chain.primitives.codec import encode
from node.content.downloads import (
    BadListing,
    DownloadResult,
    HostReport,
    Outcome,
    SessionHost,
    download,
)
from p2p.errors import RefusalCode, StreamEnded
from p2p.network import Stream
from p2p.wire.messages import (
    Access,
    ChunkRefusal,
    ChunkReply,
    ChunksRequest,
    ContentRequest,
    Granted,
    ManifestReply,
    ManifestRequest,
    Offer,
    OfferRequest,
    Payment,
)
from p2p.wire.protocols import CONTENT
from p2p.wire.requests import receive_message, send_message
from storage.content.store import ContentStore
from storage.content.tree import build_datum
from tests.node.cluster import VIDYA
from tests.node.content.content_world import (
    READER,
    Person,
    build_job,
    write_source,
)
from tests.node.content.downloads.scene import (
    CHUNKS,
    PLENTY,
    QUICK,
    SIZE,
    Scene,
    build_scene,
    check_same,
)

Answer = Callable[["Liar", Stream, int], Awaitable[None]]


@dataclass
class Liar:
    """A host that grants access to everybody and answers requests for chunks by `answer`."""

    scene: Scene
    person: Person
    store: ContentStore
    answer: Answer
    bitmap: int = 2**CHUNKS - 1
    granted: Granted = field(default_factory=lambda: Granted(None, ()))
    manifest: bytes = b""
    payments: list[Payment] = field(default_factory=list)

    async def serve(self, stream: Stream) -> None:
        """One stream."""
        while True:
            try:
                message = await receive_message(stream, ContentRequest)
            except StreamEnded:
                return
            await self.react(stream, message)

    async def react(self, stream: Stream, message: Any) -> None:
        """One message."""
        match message:
            case Access():
                await send_message(stream, self.granted)
            case ManifestRequest():
                await send_message(stream, ManifestReply(self.manifest or encode(self.scene.manifest)))
            case OfferRequest():
                await send_message(stream, Offer(self.bitmap.to_bytes(2, "little")))
            case ChunksRequest(chunks):
                for chunk in chunks:
                    await self.answer(self, stream, chunk)
            case Payment():
                self.payments.append(message)

    def read(self, chunk: int) -> ChunkReply:
        """The reply of an honest host."""
        return ChunkReply(chunk, *self.store.read_chunk(self.scene.datum, chunk))


async def be_honest(liar: Liar, stream: Stream, chunk: int) -> None:
    await send_message(stream, liar.read(chunk))


async def send_wrong_bytes(liar: Liar, stream: Stream, chunk: int) -> None:
    good = liar.read(chunk)
    await send_message(stream, ChunkReply(chunk, bytes(len(good.content)), good.proof))


async def send_short(liar: Liar, stream: Stream, chunk: int) -> None:
    good = liar.read(chunk)
    await send_message(stream, ChunkReply(chunk, good.content[:-1], good.proof))


async def send_long(liar: Liar, stream: Stream, chunk: int) -> None:
    good = liar.read(chunk)
    size = compute_chunk_size(SIZE, chunk)
    content = (good.content + b"x" * CHUNK_BYTES)[: min(size + 1, CHUNK_BYTES)]
    await send_message(
        stream, ChunkReply(chunk, content if len(content) > size else content[:-1], good.proof)
    )


async def send_another(liar: Liar, stream: Stream, chunk: int) -> None:
    other = liar.read((chunk + 1) % (CHUNKS - 1))
    await send_message(stream, ChunkReply(chunk, other.content, other.proof))


async def send_unasked(liar: Liar, stream: Stream, chunk: int) -> None:
    await send_message(stream, liar.read(chunk))
    await send_message(stream, liar.read(chunk))


async def send_junk(liar: Liar, stream: Stream, chunk: int) -> None:
    await stream.send(b"\x92\x08\xc0")


async def send_nothing(liar: Liar, stream: Stream, chunk: int) -> None:
    return


async def send_refusals(liar: Liar, stream: Stream, chunk: int) -> None:
    await send_message(stream, ChunkRefusal(chunk, RefusalCode.NOT_FOUND))


@asynccontextmanager
async def open_liar(
    scene: Scene, answer: Answer, kind: type[Liar] = Liar, **options: Any
) -> AsyncIterator[tuple[Liar, SessionHost]]:
    """A liar with the identity of the first host."""
    person = scene.chain.hosts[0]
    with ContentStore(scene.path / "liar", 2**30) as store:
        store.publish(scene.source)
        liar = kind(scene, person, store, answer, **options)
        async with scene.hub.open_network(person.keys.network_seed, scene.chain.ledger.genesis_hash) as net:
            net.serve(CONTENT, liar.serve)
            yield liar, SessionHost(person.address, net.addresses, VIDYA)


async def download_beside(
    scene: Scene, host: SessionHost, *, honest: bool = True
) -> tuple[HostReport, DownloadResult, ContentStore]:
    """Downloads from the liar and an honest host; returns the liar's report, the result and the store."""
    hosts = await scene.open_hosts(1) if honest else []
    network, content, store = await scene.open_reader()
    session = scene.chain.open_session(scene.datum, PLENTY)
    job = build_job(scene.chain, session, scene.manifest, hosts, PLENTY[: len(hosts)])
    job = dataclasses.replace(job, hosts=(host, *job.hosts))
    result = await download(network, content, job, limits=QUICK)
    return result.hosts[0], result, store


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A datum with three hosts by the chain."""
    return build_scene(tmp_path)


@pytest.mark.parametrize(
    "answer", [send_wrong_bytes, send_short, send_long, send_another, send_junk], ids=lambda one: one.__name__
)
async def test_a_host_that_lies_is_done_with_and_not_paid(scene: Scene, answer: Answer) -> None:
    """The first chunk that does not verify ends its use; it is promised nothing; the honest host
    delivers everything.
    """
    async with scene.running():
        liar, host = await scene.open(open_liar(scene, answer))
        report, result, store = await download_beside(scene, host)
        assert (report.outcome, report.paid, liar.payments) == (Outcome.LIED, 0, [])
        assert result.is_complete
        check_same(scene, store)


async def test_a_chunk_that_was_not_asked_for_is_a_lie(scene: Scene) -> None:
    """A chunk is paid once per request."""
    async with scene.running():
        _, host = await scene.open(open_liar(scene, send_unasked))
        report, result, _ = await download_beside(scene, host)
        assert report.outcome is Outcome.LIED
        assert report.chunks <= 1
        assert result.is_complete


async def test_a_host_that_stalls_is_given_up(scene: Scene) -> None:
    """It is not paid, and the honest host delivers its chunks."""
    async with scene.running():
        _, host = await scene.open(open_liar(scene, send_nothing))
        report, result, store = await download_beside(scene, host)
        assert result.is_complete
        assert report.paid == 0
        check_same(scene, store)


async def test_a_host_that_stalls_alone_is_named(scene: Scene) -> None:
    """Without another host the download ends incomplete, with the reason."""
    async with scene.running():
        _, host = await scene.open(open_liar(scene, send_nothing))
        report, result, _ = await download_beside(scene, host, honest=False)
        assert (report.outcome, result.is_complete, result.paid) == (Outcome.STALLED, False, 0)


async def test_a_host_that_claims_all_and_has_none_is_of_no_use(scene: Scene) -> None:
    """Refused chunks are not asked of it again."""
    async with scene.running():
        _, host = await scene.open(open_liar(scene, send_refusals))
        report, result, _ = await download_beside(scene, host, honest=False)
        assert (report.outcome, result.chunks_missing) == (Outcome.NOTHING_TO_GIVE, CHUNKS)


async def test_a_part_is_taken_from_who_has_a_part(scene: Scene) -> None:
    """A host that offers three chunks delivers only these; the honest host delivers the rest."""
    async with scene.running():
        _, host = await scene.open(open_liar(scene, be_honest, bitmap=0b111))
        report, result, store = await download_beside(scene, host)
        assert result.is_complete
        assert report.chunks <= 3
        check_same(scene, store)


async def test_a_manifest_of_another_datum_is_a_lie(scene: Scene) -> None:
    """Such a manifest begins nothing in the store."""
    async with scene.running():
        other = build_datum(write_source(scene.path, SIZE, seed=2)).manifest
        _, host = await scene.open(open_liar(scene, be_honest, manifest=encode(other)))
        report, _, store = await download_beside(scene, host, honest=False)
        assert report.outcome is Outcome.LIED
        assert store.datums() == []


async def test_a_job_with_another_root_is_refused(scene: Scene) -> None:
    """Root and size that do not make the datum's id are a bad listing: no host is asked for chunks."""
    async with scene.running():
        hosts = await scene.open_hosts(0)
        network, content, store = await scene.open_reader()
        session = scene.chain.open_session(scene.datum, PLENTY[:1])
        job = build_job(scene.chain, session, scene.manifest, hosts, PLENTY[:1])
        job = dataclasses.replace(job, root=b"x" * 32)
        with pytest.raises(BadListing):
            await download(network, content, job, limits=QUICK)
        assert store.datums() == []


async def test_a_host_cannot_make_up_what_it_sent(scene: Scene) -> None:
    """Chunks that it calls unpaid are asked for again, not paid unseen."""
    async with scene.running():
        granted = Granted(None, (0, 1, 2, 3))
        liar, host = await scene.open(open_liar(scene, send_nothing, granted=granted))
        report, _, _ = await download_beside(scene, host, honest=False)
        assert (report.paid, liar.payments) == (0, [])


async def test_a_voucher_that_is_not_ours_is_a_lie(scene: Scene) -> None:
    """A host cannot make the reader go on from a voucher that the reader never signed."""
    async with scene.running():
        session, host = b"s" * 32, scene.chain.hosts[0].address
        voucher = sessions.Voucher(scene.chain.ledger.genesis_hash, session, host, CHUNK_BYTES, 1)
        forged = sessions.sign_voucher(READER.account, voucher)
        _, host = await scene.open(open_liar(scene, be_honest, granted=Granted(forged, ())))
        report, _, _ = await download_beside(scene, host, honest=False)
        assert (report.outcome, report.paid) == (Outcome.LIED, 0)


@pytest.mark.parametrize("named", [(0, 1, 2, 3), (0, 0, 0, 0), (0, 1, 1)], ids=str)
async def test_unpaid_chunks_beyond_the_allotment_cost_no_more_than_it(
    scene: Scene, named: tuple[int, ...]
) -> None:
    """A host that names more unpaid chunks than its allotment covers is paid at most the allotment; the
    download goes on with other hosts.
    """
    async with scene.running():
        granted = Granted(None, named)
        liar, host = await scene.open(open_liar(scene, be_honest, granted=granted))
        limit = sessions.compute_price(CHUNK_BYTES, scene.chain.price)
        report, result, store = await download_beside(scene, dataclasses.replace(host, limit=limit))
        assert report.outcome in (Outcome.ALLOTMENT_SPENT, Outcome.LIED)
        assert report.paid <= limit
        assert all(one.signed.voucher.amount <= limit for one in liar.payments)
        assert result.is_complete
        check_same(scene, store)


async def test_unpaid_chunks_that_are_held_take_nothing_from_what_is_under_way(scene: Scene) -> None:
    """Paying a chunk that came earlier leaves enough of the allotment for the chunks under way."""
    async with scene.running():
        granted = Granted(None, (1, 0))
        liar, host = await scene.open(open_liar(scene, be_honest, granted=granted))
        network, content, store = await scene.open_reader()
        session = scene.chain.open_session(scene.datum, PLENTY)
        job = build_job(scene.chain, session, scene.manifest, [], [])
        limit = sessions.compute_price(CHUNK_BYTES, scene.chain.price)
        host = dataclasses.replace(host, limit=limit)
        store.begin(scene.manifest)
        store.write_chunk(scene.datum, 0, *liar.store.read_chunk(scene.datum, 0))
        result = await download(network, content, dataclasses.replace(job, hosts=(host,)), limits=QUICK)
        assert result.hosts[0].outcome is Outcome.ALLOTMENT_SPENT
        assert (result.hosts[0].chunks, result.hosts[0].paid) == (1, limit)


async def test_a_host_that_names_an_unpaid_chunk_twice_lies(scene: Scene) -> None:
    """One chunk is owed once."""
    async with scene.running():
        liar, host = await scene.open(open_liar(scene, be_honest, granted=Granted(None, (0, 0))))
        report, result, _ = await download_beside(scene, host)
        assert (report.outcome, report.paid, liar.payments) == (Outcome.LIED, 0, [])
        assert result.is_complete
