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
from node.content.debts import FALL_RATIO
from node.content.downloads import (
    BadListing,
    BuyerMemory,
    DownloadLimits,
    DownloadResult,
    HostReport,
    LossBook,
    Outcome,
    PaymentBook,
    SessionHost,
    download,
)
from node.content.prepayment import PREPAID_BYTES_MAX
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
    ResendRequest,
)
from p2p.wire.protocols import CONTENT
from p2p.wire.requests import receive_message, send_message
from storage.content.store import ContentStore
from storage.content.tree import build_datum
from storage.kv import MemoryStore
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
    granted: Granted = field(default_factory=lambda: Granted(None, 0, ()))
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
            case ResendRequest(chunks):
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


async def reset(liar: Liar, stream: Stream, chunk: int) -> None:
    await stream.reset()


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
    scene: Scene, host: SessionHost, *, honest: bool = True, limits: DownloadLimits = QUICK
) -> tuple[HostReport, DownloadResult, ContentStore]:
    """Downloads from the liar and an honest host; returns the liar's report, the result and the store."""
    hosts = await scene.open_hosts(1) if honest else []
    network, content, store = await scene.open_reader()
    session = scene.chain.open_session(scene.datum, PLENTY)
    job = build_job(scene.chain, session, scene.manifest, hosts, PLENTY[: len(hosts)])
    job = dataclasses.replace(job, hosts=(host, *job.hosts))
    result = await download(network, content, job, limits=limits)
    return result.hosts[0], result, store


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A datum with three hosts by the chain."""
    return build_scene(tmp_path)


@pytest.mark.parametrize(
    "answer", [send_wrong_bytes, send_short, send_long, send_another, send_junk], ids=lambda one: one.__name__
)
async def test_a_host_that_lies_is_done_with(scene: Scene, answer: Answer) -> None:
    """The first chunk that does not verify ends its use: it has one chunk's price, which is reported as lost;
    the honest host delivers everything.
    """
    async with scene.running():
        _, host = await scene.open(open_liar(scene, answer))
        report, result, store = await download_beside(scene, host)
        assert (report.outcome, report.lost_bytes) == (Outcome.LIED, CHUNK_BYTES)
        assert report.lost == report.paid == sessions.compute_price(CHUNK_BYTES, scene.chain.price)
        assert report.reason
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


async def test_a_host_that_takes_and_stalls_has_one_chunk(scene: Scene) -> None:
    """It delivered nothing, so it is paid one chunk ahead, however often it is tried; the report says what
    was lost, and the honest host delivers its chunks.
    """
    async with scene.running():
        liar, host = await scene.open(open_liar(scene, send_nothing))
        report, result, store = await download_beside(scene, host)
        assert result.is_complete
        assert (report.outcome, report.lost_bytes) == (Outcome.NOT_DELIVERED, CHUNK_BYTES)
        assert max(one.signed.voucher.bytes for one in liar.payments) == CHUNK_BYTES
        check_same(scene, store)


async def test_a_host_that_stalls_alone_is_named(scene: Scene) -> None:
    """Without another host the download ends incomplete, with the reason."""
    async with scene.running():
        _, host = await scene.open(open_liar(scene, send_nothing))
        report, result, _ = await download_beside(scene, host, honest=False)
        assert (report.outcome, result.is_complete) == (Outcome.NOT_DELIVERED, False)
        assert result.paid == report.lost == sessions.compute_price(CHUNK_BYTES, scene.chain.price)
        assert "no reply for" in report.reason


@pytest.mark.parametrize("then", [send_nothing, send_wrong_bytes, reset], ids=lambda one: one.__name__)
@pytest.mark.parametrize("chunks", [1, 3, 9])
async def test_a_host_that_gains_trust_first_takes_a_mebibyte_at_most(
    scene: Scene, then: Answer, chunks: int
) -> None:
    """A host that delivers for a while, then takes and does not deliver, gains at most 1 MiB in all."""

    async def answer(liar: Liar, stream: Stream, chunk: int) -> None:
        delivered[0] += 1
        await (be_honest if delivered[0] <= chunks else then)(liar, stream, chunk)

    delivered = [0]
    async with scene.running():
        liar, host = await scene.open(open_liar(scene, answer))
        report, result, _ = await download_beside(scene, host, honest=False)
        assert not result.is_complete
        assert 0 < report.lost_bytes <= PREPAID_BYTES_MAX
        taken = max((one.signed.voucher.bytes for one in liar.payments), default=0)
        assert report.lost_bytes >= taken - report.bytes
        assert report.outcome in (Outcome.NOT_DELIVERED, Outcome.LIED)


async def test_a_host_that_claims_that_it_delivered_gains_no_more(scene: Scene) -> None:
    """A host that counts all that was paid as sent, takes new vouchers and never delivers, gains at most
    1 MiB; it is given up when its claims leave no room for another chunk.
    """

    class Claimant(Liar):
        async def react(self, stream: Stream, message: Any) -> None:
            if isinstance(message, Access) and self.payments:
                best = self.payments[-1].signed
                await send_message(stream, Granted(best, best.voucher.bytes, (5, 6, 7)))
            elif isinstance(message, ResendRequest):
                for chunk in message.chunks:
                    await send_message(stream, ChunkRefusal(chunk, RefusalCode.PAYER_OWES))
            else:
                await super().react(stream, message)

    limits = dataclasses.replace(QUICK, attempts_per_host_max=12)
    async with scene.running():
        liar, host = await scene.open(open_liar(scene, send_nothing, kind=Claimant))
        report, _, _ = await download_beside(scene, host, honest=False, limits=limits)
        assert report.outcome is Outcome.NOT_DELIVERED
        assert report.lost_bytes == liar.payments[-1].signed.voucher.bytes == PREPAID_BYTES_MAX
        assert "says that it sent" in report.reason


async def test_a_host_that_did_not_deliver_is_asked_last_next_time(scene: Scene) -> None:
    """The next download takes everything from the other host; where there is no other, it pays one chunk at a
    time. After it has delivered enough, it is as good as any.
    """
    memory = BuyerMemory(PaymentBook(MemoryStore()), LossBook(scene.path / "losses"))
    async with scene.running():
        liar, host = await scene.open(open_liar(scene, send_nothing))
        network, content, store = await scene.open_reader()

        async def fetch(*hosts: SessionHost) -> DownloadResult:
            session = scene.chain.open_session(scene.datum, PLENTY)
            job = build_job(scene.chain, session, scene.manifest, [], [])
            again = BuyerMemory(memory.payments, LossBook(scene.path / "losses"))
            job = dataclasses.replace(job, hosts=hosts)
            return await download(network, content, job, limits=QUICK, memory=again)

        await fetch(host)
        assert LossBook(scene.path / "losses").get(host.account) == CHUNK_BYTES
        liar.answer = be_honest
        [other] = await scene.open_hosts(1)
        honest = SessionHost(other.person.address, other.network.addresses, VIDYA)
        result = await fetch(host, honest)
        assert result.is_complete and [one.chunks for one in result.hosts] == [0, CHUNKS]
        check_same(scene, store)

        store.remove(scene.datum)
        liar.payments.clear()
        result = await fetch(host)
        assert result.is_complete and result.hosts[0].lost_bytes == 0
        vouchers = [one.signed.voucher.bytes for one in liar.payments]
        assert vouchers == [min((number + 1) * CHUNK_BYTES, SIZE) for number in range(CHUNKS)]
        assert LossBook(scene.path / "losses").get(host.account) == max(0, CHUNK_BYTES - SIZE // FALL_RATIO)


async def test_a_host_that_claims_all_and_has_none_is_of_no_use(scene: Scene) -> None:
    """Refused chunks are not asked of it again."""
    async with scene.running():
        _, host = await scene.open(open_liar(scene, send_refusals))
        report, result, _ = await download_beside(scene, host, honest=False)
        assert (report.outcome, report.lost_bytes) == (Outcome.NOT_DELIVERED, CHUNK_BYTES)
        assert "has none of what is missing" in report.reason and result.chunks_missing == CHUNKS


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


async def test_a_host_cannot_make_up_what_was_paid(scene: Scene) -> None:
    """A host that counts more as sent than it was ever paid lies, and is paid nothing."""
    async with scene.running():
        granted = Granted(None, 4 * CHUNK_BYTES, (0, 1, 2, 3))
        liar, host = await scene.open(open_liar(scene, send_nothing, granted=granted))
        report, _, _ = await download_beside(scene, host, honest=False)
        assert (report.outcome, report.paid, liar.payments) == (Outcome.LIED, 0, [])


async def test_a_voucher_that_is_not_ours_is_a_lie(scene: Scene) -> None:
    """A host cannot make the reader go on from a voucher that the reader never signed."""
    async with scene.running():
        session, host = b"s" * 32, scene.chain.hosts[0].address
        voucher = sessions.Voucher(scene.chain.ledger.genesis_hash, session, host, CHUNK_BYTES, 1)
        forged = sessions.sign_voucher(READER.account, voucher)
        _, host = await scene.open(open_liar(scene, be_honest, granted=Granted(forged, 0, ())))
        report, _, _ = await download_beside(scene, host, honest=False)
        assert (report.outcome, report.paid) == (Outcome.LIED, 0)


async def test_a_host_that_names_a_chunk_twice_lies(scene: Scene) -> None:
    """A chunk is sent again once."""
    async with scene.running():
        liar, host = await scene.open(open_liar(scene, be_honest, granted=Granted(None, 0, (0, 0))))
        report, result, _ = await download_beside(scene, host)
        assert (report.outcome, report.paid, liar.payments) == (Outcome.LIED, 0, [])
        assert result.is_complete


async def test_chunks_sent_again_take_nothing_from_the_allotment(scene: Scene) -> None:
    """A chunk that the host sends again for free is not paid beside those that are."""
    async with scene.running():
        limit = sessions.compute_price(SIZE, scene.chain.price)
        _, host = await scene.open(open_liar(scene, be_honest, granted=Granted(None, 0, (1, 0))))
        host = dataclasses.replace(host, limit=limit)
        report, result, store = await download_beside(scene, host, honest=False)
        assert result.is_complete and report.chunks == CHUNKS
        assert report.paid_bytes == SIZE - 2 * CHUNK_BYTES
        check_same(scene, store)


async def test_a_host_of_another_version_is_named(scene: Scene) -> None:
    """A host that has only the content protocol of the version before is given up before it is paid."""
    async with scene.running():
        person = scene.chain.hosts[0]
        opening = scene.hub.open_network(person.keys.network_seed, scene.chain.ledger.genesis_hash)
        network = await scene.open(opening)
        network.serve(
            dataclasses.replace(CONTENT, version=CONTENT.version - 1), lambda stream: stream.close()
        )
        host = SessionHost(person.address, network.addresses, VIDYA)
        report, _, _ = await download_beside(scene, host, honest=False)
        assert (report.outcome, report.paid) == (Outcome.REFUSED, 0)
        assert "another version" in report.reason
