"""Downloads from honest hosts: several at once, resumed, with small allotments, with hosts that vanish."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from chain.content import CHUNK_BYTES
from chain.modules import balances, sessions
from node.content.downloads import (
    DownloadJob,
    DownloadLimits,
    Outcome,
    SessionHost,
    download,
)
from node.content.lane import ContentLane
from node.content.prepayment import PREPAID_BYTES_MAX
from storage.content.errors import QuotaExceeded, UnknownFile
from storage.content.selection import compute_bitmap, select_files
from storage.content.store import ContentStore
from tests.node.cluster import VIDYA
from tests.node.content.content_world import (
    READER,
    build_job,
)
from tests.node.content.downloads.scene import (
    CHUNKS,
    PLENTY,
    QUICK,
    SIZE,
    Scene,
    build_scene,
    check_same,
    get_outcomes,
)
from tests.storage.content.rigs import list_missing


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A datum with three hosts by the chain."""
    return build_scene(tmp_path)


async def test_a_datum_comes_from_several_hosts_and_is_paid_to_the_base_unit(scene: Scene) -> None:
    """The bytes are the source's; the hosts' vouchers are what was paid, and the chain settles them."""
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
            last = sessions.Release(host.person.address, (signed,), ())
            chain.grow(chain.sign_duty(last, host.person.account))
            assert chain.ledger.get_free(host.person.address) - before == report.paid * 7 // 10
        balances.check_invariants(chain.ledger.state)


async def test_one_host_alone_is_paid_exactly_the_price_of_the_datum(scene: Scene) -> None:
    """An allotment of exactly the price is enough."""
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
    """A download that ended for lack of money resumes in a new session with the missing chunks only."""
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
    """A host is never promised more than its allotment; other hosts deliver the rest."""
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


async def test_a_reader_that_begins_again_pays_nothing_twice(scene: Scene) -> None:
    """On the same session, without a memory of its own, it counts from the voucher that the host shows:
    chunks that were under way are sent again for free.
    """
    async with scene.running():
        [host] = await scene.open_hosts(0)
        network, content, store = await scene.open_reader()
        session = scene.chain.open_session(scene.datum, PLENTY[:1])
        job = build_job(scene.chain, session, scene.manifest, [host], PLENTY[:1])
        with trio.CancelScope() as crash:

            def crash_later(progress: Any) -> None:
                if progress.bytes_done >= 6 * CHUNK_BYTES:
                    crash.cancel()

            await download(network, content, job, crash_later, DownloadLimits(bytes_per_second_max=2**21))
        held = CHUNKS - len(list_missing(store, scene.datum))
        assert 0 < held < CHUNKS
        result = await download(network, content, job)
        assert result.is_complete
        signed = host.book.get(session)
        assert signed is not None
        assert signed.voucher.bytes == SIZE
        assert signed.voucher.amount == result.paid
        check_same(scene, store)


async def test_what_was_paid_is_written_before_an_interrupted_download_ends(scene: Scene) -> None:
    """Verified chunks that wait for a slow disk when the reader is cancelled are in the store afterwards; at
    most 1 MiB was paid beside them.
    """
    async with scene.running():
        [host] = await scene.open_hosts(0)
        network, content, store = await scene.open_reader()
        session = scene.chain.open_session(scene.datum, PLENTY[:1])
        job = build_job(scene.chain, session, scene.manifest, [host], PLENTY[:1])
        disk_is_free, scope = threading.Event(), trio.CancelScope()
        first: list[int] = []

        def stop_later(progress: Any) -> None:
            if progress.bytes_done and not first:
                first.append(progress.bytes_done)
                nursery.start_soon(content.run, lambda _: disk_is_free.wait(10))
            if first and progress.bytes_done >= first[0] + 3 * CHUNK_BYTES:
                scope.cancel()
                disk_is_free.set()

        async with trio.open_nursery() as nursery:
            with scope:
                await download(network, content, job, stop_later, DownloadLimits(bytes_per_second_max=2**21))
        held = CHUNKS - len(list_missing(store, scene.datum))
        signed = host.book.get(session)
        assert signed is not None and signed.voucher.bytes > CHUNK_BYTES
        assert signed.voucher.bytes <= held * CHUNK_BYTES + PREPAID_BYTES_MAX


async def test_some_files_cost_their_chunks_alone(scene: Scene) -> None:
    """Only chunks with bytes of the file are fetched and paid; another try takes the rest."""
    async with scene.running():
        hosts = await scene.open_hosts(0)
        network, content, store = await scene.open_reader()
        session = scene.chain.open_session(scene.datum, PLENTY[:1])
        job = replace(build_job(scene.chain, session, scene.manifest, hosts, PLENTY[:1]), paths=("b.bin",))
        result = await download(network, content, job)
        wanted = compute_bitmap(select_files(scene.manifest, ("b.bin",)))
        assert result.is_complete and result.hosts[0].chunks == wanted.bit_count() < CHUNKS
        assert int.from_bytes(store.get_bitmap(scene.datum), "little") == wanted
        store.export(scene.datum, scene.path / "part", ("b.bin",))
        assert (scene.path / "part" / "b.bin").read_bytes() == (scene.source / "b.bin").read_bytes()
        assert (await download(network, content, replace(job, paths=()))).is_complete
        check_same(scene, store)


async def test_a_file_that_is_not_there_ends_the_download(scene: Scene) -> None:
    """Nothing is paid, and the error names what there is."""
    async with scene.running():
        hosts = await scene.open_hosts(0)
        network, content, _ = await scene.open_reader()
        session = scene.chain.open_session(scene.datum, PLENTY[:1])
        job = replace(build_job(scene.chain, session, scene.manifest, hosts, PLENTY[:1]), paths=("c.bin",))
        with pytest.raises(UnknownFile, match=r"a\.bin"):
            await download(network, content, job)
        assert hosts[0].book.get(session) is None


async def test_a_host_that_vanishes_is_replaced(scene: Scene) -> None:
    """Its chunks come from another host."""
    async with scene.running():
        vanishing, kept = await scene.open_hosts(0, 1)
        network, content, store = await scene.open_reader()
        session = scene.chain.open_session(scene.datum, PLENTY)
        job = build_job(scene.chain, session, scene.manifest, [vanishing, kept], [VIDYA, VIDYA])
        nursery = await scene.open(trio.open_nursery())

        def cut(progress: Any) -> None:
            if not progress.bytes_done and progress.hosts[0].outcome is Outcome.SERVING:
                nursery.start_soon(scene.hub.cut, vanishing.network.peer_id, network.peer_id)

        result = await download(network, content, job, cut, QUICK)
        assert result.is_complete
        assert result.hosts[0].chunks < CHUNKS
        check_same(scene, store)


async def test_nobody_there_is_told_host_by_host(scene: Scene) -> None:
    """An incomplete download gives the reason for each host."""
    async with scene.running():
        network, content, _ = await scene.open_reader()
        session = scene.chain.open_session(scene.datum, PLENTY)
        hosts_of_job = [
            SessionHost(scene.chain.hosts[0].address, (), VIDYA),
            SessionHost(scene.chain.hosts[1].address, ("/ip4/127.0.0.1/tcp/9/p2p/nonsense",), VIDYA),
        ]
        job = build_job(scene.chain, session, scene.manifest, [], [])
        job = DownloadJob(
            **{name: getattr(job, name) for name in job.__slots__} | {"hosts": tuple(hosts_of_job)}
        )
        result = await download(network, content, job, limits=QUICK)
        assert (result.is_complete, result.chunks_missing, result.paid) == (False, CHUNKS, 0)
        assert get_outcomes(result) == [Outcome.UNREACHABLE] * 2
        assert all(report.reason for report in result.hosts)


async def test_a_stranger_gets_nothing_from_any_host(scene: Scene) -> None:
    """Without a session every host refuses, with the reason."""
    async with scene.running():
        hosts = await scene.open_hosts(0, 1, 2)
        network, content, store = await scene.open_reader()
        job = build_job(scene.chain, b"x" * 32, scene.manifest, hosts, PLENTY)
        result = await download(network, content, job, limits=QUICK)
        assert get_outcomes(result) == [Outcome.REFUSED] * 3
        assert all(report.reason.startswith("not_member") for report in result.hosts)
        assert store.datums() == []


async def test_a_full_quota_stops_before_anything_is_written(scene: Scene) -> None:
    """An error of the own disk is raised to the caller."""
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
    """The last progress has all bytes and the price paid."""
    async with scene.running():
        hosts = await scene.open_hosts(0, 1)
        network, content, _ = await scene.open_reader()
        session = scene.chain.open_session(scene.datum, PLENTY[:2])
        seen: list[Any] = []
        job = build_job(scene.chain, session, scene.manifest, hosts, PLENTY[:2])
        result = await download(network, content, job, seen.append)
        assert [one.bytes_done for one in seen] == sorted(one.bytes_done for one in seen)
        last = seen[-1]
        assert (last.bytes_done, last.bytes_total, last.paid) == (SIZE, SIZE, result.paid)
