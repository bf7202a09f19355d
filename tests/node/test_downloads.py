"""Downloads from real hosts, and from such that lie, stall, vanish or have nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio

from chain.content import CHUNK_BYTES, Manifest, compute_chunk_size, compute_datum_id
from chain.modules import balances, sessions
from chain.primitives.codec import encode
from chain.primitives.types import Hash
from node.content_lane import ContentLane
from node.downloads import (
    BadListing,
    DownloadJob,
    DownloadLimits,
    DownloadResult,
    HostReport,
    HostSeat,
    Outcome,
    download,
)
from p2p.errors import RefusalCode, StreamEnded
from p2p.memory import MemoryHub
from p2p.messages import (
    Access,
    Chunk,
    ChunkRefusal,
    ChunksRequest,
    ContentRequest,
    Granted,
    ManifestRequest,
    Offer,
    OfferRequest,
    Payment,
)
from p2p.messages import Manifest as ManifestReply
from p2p.network import Stream
from p2p.protocols import CONTENT
from p2p.requests import receive_message, send_message
from p2p.switch import Switch
from storage.content.errors import QuotaExceeded
from storage.content.store import ContentStore
from storage.content.tree import build_datum
from tests.node.cluster import VIDYA
from tests.node.content_world import (
    READER,
    ContentChain,
    ContentHost,
    Person,
    build_job,
    open_host,
    open_reader,
    write_source,
)

CHUNKS = 16
SIZE = (CHUNKS - 1) * CHUNK_BYTES + 777
QUICK = DownloadLimits(
    attempts_per_host_max=2, attempt_pause_seconds=0.01, stall_seconds_max=0.2, takeover_seconds=0.02
)
T = TypeVar("T")
PLENTY = [VIDYA, VIDYA, VIDYA]


@dataclass
class Scene:
    """Three hosts that hold a datum by the chain, and a reader with a session."""

    chain: ContentChain
    source: Path
    manifest: Manifest
    path: Path
    hub: MemoryHub = field(default_factory=MemoryHub)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def datum(self) -> Hash:
        """Its id."""
        return compute_datum_id(self.manifest)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All that is opened in this block ends with it, within half a minute."""
        with trio.fail_after(30):
            async with self.stack:
                yield

    async def open(self, opening: AbstractAsyncContextManager[T]) -> T:
        """Opens something until `running` ends."""
        return await self.stack.enter_async_context(opening)

    async def open_hosts(self, *numbers: int) -> list[ContentHost]:
        """Honest hosts, serving until `running` ends."""
        opened = []
        for number in numbers:
            person = self.chain.hosts[number]
            hosting = open_host(self.hub, self.chain, person, self.path, self.source)
            opened.append(await self.open(hosting))
        return opened

    async def open_reader(self) -> tuple[Switch, ContentLane, ContentStore]:
        """The reader, with nothing yet."""
        return await self.open(open_reader(self.hub, self.chain, self.path))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """What all these tests begin with."""
    source = write_source(tmp_path, SIZE)
    manifest, chain = build_datum(source).manifest, ContentChain(3)
    chain.host(manifest)
    return Scene(chain, source, manifest, tmp_path)


def check_same(scene: Scene, store: ContentStore) -> None:
    """What the store exports is the source, byte for byte."""
    out = scene.path / "out"
    store.export(scene.datum, out)
    for name in ("a.bin", "b.bin"):
        assert (out / name).read_bytes() == (scene.source / name).read_bytes()


def get_outcomes(result: DownloadResult) -> list[Outcome]:
    """How it ended with each host, in the order of the job."""
    return [report.outcome for report in result.hosts]


# Honest hosts.


async def test_a_datum_comes_from_several_hosts_and_is_paid_to_the_base_unit(scene: Scene) -> None:
    """Bytes as in the source; vouchers at the hosts are what was paid, and settle as the rules say."""
    async with scene.running():
        chain = scene.chain
        hosts = await scene.open_hosts(0, 1, 2)
        network, content, store = await scene.open_reader()
        session = chain.open_session(scene.datum, PLENTY)
        result = await download(network, content, build_job(chain, session, scene.manifest, hosts, PLENTY))
        assert result.is_complete
        assert get_outcomes(result) == [Outcome.DONE] * 3
        assert all(report.chunks for report in result.hosts)
        check_same(scene, store)
        chain.grow(chain.sign(READER, sessions.CloseSession(session)))
        for host, report in zip(hosts, result.hosts, strict=True):
            signed = host.book.get(session)
            assert signed is not None
            assert (signed.voucher.bytes, signed.voucher.amount) == (report.bytes, report.paid)
            before = chain.ledger.get_free(host.person.address)
            chain.grow(chain.sign_duty(sessions.Settle(signed)))
            assert chain.ledger.get_free(host.person.address) - before == report.paid * 7 // 10
        balances.check_invariants(chain.ledger.state)


async def test_one_host_alone_is_paid_exactly_the_price_of_the_datum(scene: Scene) -> None:
    """An allotment of the price is enough, to the last base unit."""
    async with scene.running():
        hosts = await scene.open_hosts(0)
        network, content, store = await scene.open_reader()
        limits = [sessions.compute_price(SIZE, scene.chain.price)]
        session = scene.chain.open_session(scene.datum, limits)
        job = build_job(scene.chain, session, scene.manifest, hosts, limits)
        result = await download(network, content, job)
        assert result.is_complete
        assert result.paid == limits[0]
        check_same(scene, store)


async def test_what_is_here_is_not_fetched_again(scene: Scene) -> None:
    """A download that ended for want of money goes on, in a new session, with the missing chunks alone."""
    async with scene.running():
        hosts = await scene.open_hosts(0)
        network, content, store = await scene.open_reader()
        limits = [sessions.compute_price(5 * CHUNK_BYTES, scene.chain.price)]
        session = scene.chain.open_session(scene.datum, limits)
        first = await download(
            network, content, build_job(scene.chain, session, scene.manifest, hosts, limits)
        )
        assert (first.is_complete, first.chunks_missing) == (False, CHUNKS - 5)
        assert get_outcomes(first) == [Outcome.ALLOTMENT_SPENT]
        session = scene.chain.open_session(scene.datum, PLENTY[:1])
        job = build_job(scene.chain, session, scene.manifest, hosts, PLENTY[:1])
        second = await download(network, content, job)
        assert second.is_complete
        assert second.hosts[0].chunks == CHUNKS - 5
        check_same(scene, store)


async def test_nothing_is_asked_for_when_all_is_here(scene: Scene) -> None:
    """A complete datum costs nothing."""
    async with scene.running():
        hosts = await scene.open_hosts(0)
        network, content, _ = await scene.open_reader()
        session = scene.chain.open_session(scene.datum, PLENTY[:1])
        job = build_job(scene.chain, session, scene.manifest, hosts, PLENTY[:1])
        paid = (await download(network, content, job)).paid
        again = await download(network, content, job)
        assert again.is_complete
        assert (again.hosts[0].chunks, again.paid) == (0, 0)
        assert paid == sessions.compute_price(SIZE, scene.chain.price)


async def test_a_spent_allotment_is_made_up_for_by_others(scene: Scene) -> None:
    """A host is never promised more than its part; the others deliver the rest."""
    async with scene.running():
        hosts = await scene.open_hosts(0, 1)
        network, content, store = await scene.open_reader()
        limits = [sessions.compute_price(2 * CHUNK_BYTES, scene.chain.price), VIDYA]
        session = scene.chain.open_session(scene.datum, limits)
        job = build_job(scene.chain, session, scene.manifest, hosts, limits)
        result = await download(network, content, job, limits=QUICK)
        assert result.is_complete
        assert result.hosts[0].paid <= limits[0]
        assert result.hosts[0].chunks <= 2
        check_same(scene, store)


async def test_a_crash_of_the_reader_costs_the_credit_at_most(scene: Scene) -> None:
    """On the same session it goes on from the voucher that the host shows; no chunk that was kept is fetched
    again, and what was under way is paid once."""
    async with scene.running():
        [host] = await scene.open_hosts(0)
        network, content, store = await scene.open_reader()
        session = scene.chain.open_session(scene.datum, PLENTY[:1])
        job = build_job(scene.chain, session, scene.manifest, [host], PLENTY[:1])
        with trio.CancelScope() as crash:

            def crash_later(progress: Any) -> None:
                if progress.chunks_done >= 6:
                    crash.cancel()

            await download(network, content, job, crash_later, DownloadLimits(bytes_per_second_max=2**21))
        held = CHUNKS - len(store.missing_chunks(scene.datum))
        assert 0 < held < CHUNKS
        result = await download(network, content, job)
        assert result.is_complete
        signed = host.book.get(session)
        assert signed is not None
        assert signed.voucher.bytes <= SIZE + 4 * CHUNK_BYTES
        assert signed.voucher.amount == result.paid
        check_same(scene, store)


async def test_a_host_that_vanishes_is_replaced(scene: Scene) -> None:
    """Its chunks come from the other one."""
    async with scene.running():
        vanishing, kept = await scene.open_hosts(0, 1)
        network, content, store = await scene.open_reader()
        session = scene.chain.open_session(scene.datum, PLENTY)
        job = build_job(scene.chain, session, scene.manifest, [vanishing, kept], [VIDYA, VIDYA])
        nursery = await scene.open(trio.open_nursery())

        def cut(progress: Any) -> None:
            if not progress.chunks_done and progress.hosts[0].outcome is Outcome.SERVING:
                nursery.start_soon(scene.hub.cut, vanishing.network.peer_id, network.peer_id)

        result = await download(network, content, job, cut, QUICK)
        assert result.is_complete
        assert result.hosts[0].chunks < CHUNKS
        check_same(scene, store)


async def test_nobody_there_is_told_host_by_host(scene: Scene) -> None:
    """An incomplete download says why each host was of no use."""
    async with scene.running():
        network, content, _ = await scene.open_reader()
        session = scene.chain.open_session(scene.datum, PLENTY)
        seats = [
            HostSeat(scene.chain.hosts[0].address, (), VIDYA),
            HostSeat(scene.chain.hosts[1].address, ("/ip4/127.0.0.1/tcp/9/p2p/nonsense",), VIDYA),
        ]
        job = build_job(scene.chain, session, scene.manifest, [], [])
        job = DownloadJob(**{name: getattr(job, name) for name in job.__slots__} | {"hosts": tuple(seats)})
        result = await download(network, content, job, limits=QUICK)
        assert (result.is_complete, result.chunks_missing, result.paid) == (False, CHUNKS, 0)
        assert get_outcomes(result) == [Outcome.UNREACHABLE] * 2
        assert all(report.reason for report in result.hosts)


async def test_a_stranger_gets_nothing_from_any_host(scene: Scene) -> None:
    """Without a session every host refuses, and says why."""
    async with scene.running():
        hosts = await scene.open_hosts(0, 1, 2)
        network, content, store = await scene.open_reader()
        job = build_job(scene.chain, b"x" * 32, scene.manifest, hosts, PLENTY)
        result = await download(network, content, job, limits=QUICK)
        assert get_outcomes(result) == [Outcome.REFUSED] * 3
        assert all(report.reason.startswith("not_member") for report in result.hosts)
        assert store.datums() == []


async def test_a_full_quota_stops_before_anything_is_written(scene: Scene) -> None:
    """What the own disk refuses is the caller's to hear."""
    async with scene.running():
        hosts = await scene.open_hosts(0)
        network, _, _ = await scene.open_reader()
        session = scene.chain.open_session(scene.datum, PLENTY[:1])
        with ContentStore(scene.path / "small", CHUNK_BYTES) as small:
            job = build_job(scene.chain, session, scene.manifest, hosts, PLENTY[:1])
            with pytest.raises(QuotaExceeded):
                await download(network, ContentLane(small), job, limits=QUICK)
            assert small.datums() == []


async def test_progress_tells_hosts_and_price(scene: Scene) -> None:
    """The last call has all bytes and what was paid."""
    async with scene.running():
        hosts = await scene.open_hosts(0, 1)
        network, content, _ = await scene.open_reader()
        session = scene.chain.open_session(scene.datum, PLENTY[:2])
        seen: list[Any] = []
        job = build_job(scene.chain, session, scene.manifest, hosts, PLENTY[:2])
        result = await download(network, content, job, seen.append)
        assert [one.bytes_done for one in seen] == sorted(one.bytes_done for one in seen)
        last = seen[-1]
        assert (last.bytes_done, last.chunks_done, last.paid) == (SIZE, CHUNKS, result.paid)


# Hosts that are not honest, or not well.

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

    def read(self, chunk: int) -> Chunk:
        """What an honest host would send."""
        return Chunk(chunk, *self.store.read_chunk(self.scene.datum, chunk))


async def be_honest(liar: Liar, stream: Stream, chunk: int) -> None:
    await send_message(stream, liar.read(chunk))


async def send_wrong_bytes(liar: Liar, stream: Stream, chunk: int) -> None:
    good = liar.read(chunk)
    await send_message(stream, Chunk(chunk, bytes(len(good.content)), good.proof))


async def send_short(liar: Liar, stream: Stream, chunk: int) -> None:
    good = liar.read(chunk)
    await send_message(stream, Chunk(chunk, good.content[:-1], good.proof))


async def send_long(liar: Liar, stream: Stream, chunk: int) -> None:
    good = liar.read(chunk)
    size = compute_chunk_size(SIZE, chunk)
    content = (good.content + b"x" * CHUNK_BYTES)[: min(size + 1, CHUNK_BYTES)]
    await send_message(stream, Chunk(chunk, content if len(content) > size else content[:-1], good.proof))


async def send_another(liar: Liar, stream: Stream, chunk: int) -> None:
    other = liar.read((chunk + 1) % (CHUNKS - 1))
    await send_message(stream, Chunk(chunk, other.content, other.proof))


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
async def open_liar(scene: Scene, answer: Answer, **options: Any) -> AsyncIterator[tuple[Liar, HostSeat]]:
    """A liar in the place of the first host."""
    person = scene.chain.hosts[0]
    with ContentStore(scene.path / "liar", 2**30) as store:
        store.publish(scene.source)
        liar = Liar(scene, person, store, answer, **options)
        async with scene.hub.open_network(person.keys.network_seed, scene.chain.ledger.genesis_hash) as net:
            net.serve(CONTENT, liar.serve)
            yield liar, HostSeat(person.address, net.addresses, VIDYA)


async def download_beside(
    scene: Scene, seat: HostSeat, *, honest: bool = True
) -> tuple[HostReport, DownloadResult, ContentStore]:
    """Downloads from the liar and an honest host; the liar's report, the result, and the store."""
    hosts = await scene.open_hosts(1) if honest else []
    network, content, store = await scene.open_reader()
    session = scene.chain.open_session(scene.datum, PLENTY)
    job = build_job(scene.chain, session, scene.manifest, hosts, PLENTY[: len(hosts)])
    fields = {name: getattr(job, name) for name in job.__slots__}
    job = DownloadJob(**fields | {"hosts": (seat, *job.hosts)})
    result = await download(network, content, job, limits=QUICK)
    return result.hosts[0], result, store


@pytest.mark.parametrize(
    "answer", [send_wrong_bytes, send_short, send_long, send_another, send_junk], ids=lambda one: one.__name__
)
async def test_a_host_that_lies_is_done_with_and_not_paid(scene: Scene, answer: Answer) -> None:
    """The first chunk that does not verify ends it; not a base unit is promised; others deliver all."""
    async with scene.running():
        liar, seat = await scene.open(open_liar(scene, answer))
        report, result, store = await download_beside(scene, seat)
        assert (report.outcome, report.paid, liar.payments) == (Outcome.LIED, 0, [])
        assert result.is_complete
        check_same(scene, store)


async def test_a_chunk_that_was_not_asked_for_is_a_lie(scene: Scene) -> None:
    """Chunks are paid as often as they were asked for."""
    async with scene.running():
        _, seat = await scene.open(open_liar(scene, send_unasked))
        report, result, _ = await download_beside(scene, seat)
        assert report.outcome is Outcome.LIED
        assert report.chunks <= 1
        assert result.is_complete


async def test_a_host_that_stalls_is_given_up(scene: Scene) -> None:
    """It is named as stalled, and the others deliver what was asked of it."""
    async with scene.running():
        _, seat = await scene.open(open_liar(scene, send_nothing))
        report, result, store = await download_beside(scene, seat)
        assert result.is_complete
        assert report.paid == 0
        check_same(scene, store)


async def test_a_host_that_stalls_alone_is_named(scene: Scene) -> None:
    """Without another host the download ends, incomplete, with the reason."""
    async with scene.running():
        _, seat = await scene.open(open_liar(scene, send_nothing))
        report, result, _ = await download_beside(scene, seat, honest=False)
        assert (report.outcome, result.is_complete, result.paid) == (Outcome.STALLED, False, 0)


async def test_a_host_that_claims_all_and_has_none_is_of_no_use(scene: Scene) -> None:
    """Refused chunks are not asked of it again."""
    async with scene.running():
        _, seat = await scene.open(open_liar(scene, send_refusals))
        report, result, _ = await download_beside(scene, seat, honest=False)
        assert (report.outcome, result.chunks_missing) == (Outcome.NOTHING_TO_GIVE, CHUNKS)


async def test_a_part_is_taken_from_who_has_a_part(scene: Scene) -> None:
    """A host that offers three chunks delivers these; the honest one the rest."""
    async with scene.running():
        _, seat = await scene.open(open_liar(scene, be_honest, bitmap=0b111))
        report, result, store = await download_beside(scene, seat)
        assert result.is_complete
        assert report.chunks <= 3
        check_same(scene, store)


async def test_a_manifest_of_another_datum_is_a_lie(scene: Scene) -> None:
    """Nothing is begun with it."""
    async with scene.running():
        other = build_datum(write_source(scene.path, SIZE, seed=2)).manifest
        _, seat = await scene.open(open_liar(scene, be_honest, manifest=encode(other)))
        report, _, store = await download_beside(scene, seat, honest=False)
        assert report.outcome is Outcome.LIED
        assert store.datums() == []


async def test_a_job_with_another_root_is_refused(scene: Scene) -> None:
    """Root and size that do not make the datum's id are nobody's data: no host is asked for chunks."""
    async with scene.running():
        hosts = await scene.open_hosts(0)
        network, content, store = await scene.open_reader()
        session = scene.chain.open_session(scene.datum, PLENTY[:1])
        job = build_job(scene.chain, session, scene.manifest, hosts, PLENTY[:1])
        fields = {name: getattr(job, name) for name in job.__slots__}
        with pytest.raises(BadListing):
            await download(network, content, DownloadJob(**fields | {"root": b"x" * 32}), limits=QUICK)
        assert store.datums() == []


async def test_a_host_can_not_make_up_what_it_sent(scene: Scene) -> None:
    """Chunks that it says are unpaid are asked for again, not paid for nothing."""
    async with scene.running():
        granted = Granted(None, (0, 1, 2, 3))
        liar, seat = await scene.open(open_liar(scene, send_nothing, granted=granted))
        report, _, _ = await download_beside(scene, seat, honest=False)
        assert (report.paid, liar.payments) == (0, [])


async def test_a_voucher_that_is_not_ours_is_a_lie(scene: Scene) -> None:
    """A host cannot make the reader go on from a voucher that the reader never signed."""
    async with scene.running():
        session, host = b"s" * 32, scene.chain.hosts[0].address
        voucher = sessions.Voucher(scene.chain.ledger.genesis_hash, session, host, CHUNK_BYTES, 1)
        forged = sessions.sign_voucher(READER.account, voucher)
        _, seat = await scene.open(open_liar(scene, be_honest, granted=Granted(forged, ())))
        report, _, _ = await download_beside(scene, seat, honest=False)
        assert (report.outcome, report.paid) == (Outcome.LIED, 0)
