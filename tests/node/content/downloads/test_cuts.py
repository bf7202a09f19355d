"""Connections that are cut and processes that die, at any point of the exchange: nobody loses by it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.content import CHUNK_BYTES, Manifest
from chain.modules.sessions import compute_price
from chain.primitives.types import Hash
from node.content.debts import DEBT_BYTES_MAX, FALL_RATIO
from node.content.downloads import (
    BuyerMemory,
    DownloadLimits,
    DownloadResult,
    LossBook,
    Outcome,
    PaymentBook,
    download,
)
from node.content.lane import ContentLane
from node.content.prepayment import PREPAID_BYTES_MAX
from node.content.service import ServiceLimits
from node.content.vouchers import VoucherBook
from p2p.memory import MemoryHub
from storage.content.store import ContentStore
from storage.content.tree import build_datum
from storage.kv import MemoryStore
from tests.node.cluster import VIDYA
from tests.node.content.content_world import (
    READER,
    ContentChain,
    ContentHost,
    build_job,
    open_host,
    write_source,
)
from tests.node.content.downloads.faulty_network import (
    CountingNetwork,
    Faults,
    FaultyNetwork,
    do_nothing,
)
from tests.node.content.downloads.scene import PLENTY, build_scene, check_same

CHUNKS = 10
SIZE = (CHUNKS - 1) * CHUNK_BYTES + 777
LIMITS = DownloadLimits(attempts_per_host_max=4, attempt_pause_seconds=0.001, stall_seconds_max=2.0)
HOST_LIMITS = ServiceLimits(streams_per_session_max=8)


def copy(store: MemoryStore) -> MemoryStore:
    """What a killed process leaves: all that was written, and nothing that it would do at its end."""
    left = MemoryStore()
    left.write_batch(store.iterate())
    return left


class World(NamedTuple):
    """What trades share."""

    chain: ContentChain
    manifest: Manifest
    source: Path
    session: Hash


class Trade:
    """One host and one buyer in one session, each with a disk, either of which may die and begin again."""

    def __init__(self, world: World, path: Path) -> None:
        self.chain, self.manifest, self.source, self.session = world
        self.path = path
        self.hub = MemoryHub()
        self.host_disk, self.buyer_disk = MemoryStore(), MemoryStore()
        self.sent: list[int] = []
        self.deaths = 0
        self.worst_loss = 0
        self._host_died = trio.Event()
        self._buyer_scope = trio.CancelScope()

    @asynccontextmanager
    async def open_host(self) -> AsyncIterator[ContentHost]:
        """The host, with what is on its disk now."""
        person = self.chain.hosts[0]
        opening = open_host(
            self.hub,
            self.chain,
            person,
            self.path,
            self.source,
            vouchers=self.host_disk,
            limits=HOST_LIMITS,
            wrap=lambda network: CountingNetwork(network, self.sent),
        )
        async with opening as host:
            yield host

    async def fetch(self, host: ContentHost, store: ContentStore, faults: Faults) -> DownloadResult:
        """One run of the buyer, with what is on its disk now."""
        memory = BuyerMemory(PaymentBook(self.buyer_disk), LossBook())
        async with self.hub.open_network(b"r" * 32, self.chain.ledger.genesis_hash) as network:
            faulty: Any = FaultyNetwork(network, faults)
            job = build_job(self.chain, self.session, self.manifest, [host], [VIDYA])
            return await download(faulty, ContentLane(store), job, self._watch, LIMITS, memory)

    def _watch(self, progress: Any) -> None:
        self.worst_loss = max(self.worst_loss, *(host.lost_bytes for host in progress.hosts))

    def kill_host(self) -> None:
        """The host's next process has what is on the disk now."""
        self.host_disk = copy(self.host_disk)
        self.deaths += 1
        self._host_died.set()

    def kill_buyer(self) -> None:
        """The buyer's next process has what is on the disk now."""
        self.buyer_disk = copy(self.buyer_disk)
        self.deaths += 1
        self._buyer_scope.cancel()

    async def _run_hosts(self, *, task_status: trio.TaskStatus[ContentHost]) -> None:
        """A host, and after its death the next one."""
        while True:
            self._host_died = trio.Event()
            async with self.open_host() as host:
                task_status.started(host)
                task_status = trio.TASK_STATUS_IGNORED
                await self._host_died.wait()

    async def run_to_the_end(self, faults: Faults) -> DownloadResult:
        """Runs of the buyer, one after the other, until the datum is complete."""
        result = None
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                host = await nursery.start(self._run_hosts)
                while result is None or not result.is_complete:
                    with ContentStore(self.path / "reader", 2**30) as store, trio.CancelScope() as scope:
                        self._buyer_scope = scope
                        result = await self.fetch(host, store, faults)
                nursery.cancel_scope.cancel()
        return result

    async def run(self, faults: Faults) -> tuple[DownloadResult, ContentHost]:
        """Both, without a death."""
        with trio.fail_after(20), ContentStore(self.path / "reader", 2**30) as store:
            async with self.open_host() as host:
                return await self.fetch(host, store, faults), host


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A chain on which one host holds a datum, with a session; the disks of each trade are new."""
    with TemporaryDirectory() as folder:
        source = write_source(Path(folder), SIZE)
        manifest, chain = build_datum(source).manifest, ContentChain(1)
        session = chain.open_session(chain.host(manifest), [VIDYA])
        yield World(chain, manifest, source, session)


@pytest.mark.parametrize("is_after", [False, True])
def test_a_cut_at_any_event_costs_the_buyer_nothing(world: World, tmp_path: Path, is_after: bool) -> None:
    """Wherever the connection ends once, the datum is complete and its price is paid once."""
    events = 0
    for event in range(1, 1000):
        faults = Faults({event: do_nothing}, is_after)
        trade = Trade(world, tmp_path / str(event))
        result, host = trio.run(trade.run, faults)
        (report,) = result.hosts
        assert result.is_complete, (event, report)
        assert (report.paid_bytes, report.lost_bytes, report.outcome) == (SIZE, 0, Outcome.DONE), event
        signed = host.book.get(trade.session)
        assert signed is not None and signed.voucher.bytes == SIZE, event
        assert signed.voucher.amount == report.paid == compute_price(SIZE, world.chain.price)
        assert sum(trade.sent) <= SIZE + PREPAID_BYTES_MAX
        assert host.debts.get(READER.address) <= PREPAID_BYTES_MAX
        events = faults.events
        if faults.plan:
            break
    assert events > 2 * CHUNKS


EVENTS = st.integers(1, 80)
KINDS = st.sampled_from(["cut", "host", "buyer"])


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(EVENTS, KINDS, max_size=8), st.dictionaries(EVENTS, st.just(0.003)), st.booleans())
def test_whatever_happens_both_stay_within_their_bounds(
    world: World, plan: dict[int, str], delays: dict[int, float], is_after: bool
) -> None:
    """Over random cuts, delays and deaths of either side: the host sends no more than it is paid, but for
    1 MiB a death and the payer's debt; the buyer never has more than 1 MiB at stake; both count one voucher.
    """
    with TemporaryDirectory() as folder:
        trade = Trade(world, Path(folder))
        acts = {"cut": do_nothing, "host": trade.kill_host, "buyer": trade.kill_buyer}
        faults = Faults({event: acts[kind] for event, kind in plan.items()}, is_after, delays)
        result = trio.run(trade.run_to_the_end, faults)
    (report,) = result.hosts
    payments = PaymentBook(trade.buyer_disk).get(trade.session, report.account)
    signed = VoucherBook(trade.host_disk, report.account).get(trade.session)
    assert payments is not None and signed is not None
    assert signed.voucher.bytes == payments.promised == report.paid_bytes
    assert signed.voucher.amount == report.paid
    assert trade.worst_loss <= PREPAID_BYTES_MAX and report.lost_bytes <= PREPAID_BYTES_MAX
    assert report.paid_bytes <= SIZE + PREPAID_BYTES_MAX
    free = DEBT_BYTES_MAX + report.paid_bytes // FALL_RATIO + trade.deaths * PREPAID_BYTES_MAX
    assert sum(trade.sent) <= report.paid_bytes + free
    if not trade.deaths and len(plan) == 1:
        assert (report.paid_bytes, report.lost_bytes) == (SIZE, 0)


@pytest.mark.parametrize("event", [8, 14, 20, 26, 32])
async def test_a_cut_beside_another_host_pays_no_chunk_twice(tmp_path: Path, event: int) -> None:
    """What was paid to the host that was cut is left to it, so no other host is paid for it, too."""
    scene = build_scene(tmp_path)
    async with scene.running():
        hosts = await scene.open_hosts(0, 1)
        network, content, store = await scene.open_reader()
        session = scene.chain.open_session(scene.datum, PLENTY[:2])
        job = build_job(scene.chain, session, scene.manifest, hosts, PLENTY[:2])
        faulty: Any = FaultyNetwork(network, Faults({event: do_nothing}))
        # Hosts that are slow on a busy machine are not taken for stalled ones.
        patient = replace(LIMITS, takeover_seconds=20.0, stall_seconds_max=20.0)
        result = await download(faulty, content, job, limits=patient)
        assert result.is_complete
        assert [report.lost_bytes for report in result.hosts] == [0, 0]
        assert sum(report.paid_bytes for report in result.hosts) == scene.manifest.length
        check_same(scene, store)
