"""Downloads and sampled chunks: others come first, then these, and no host is dropped for refusing them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio

from chain.content import CHUNK_BYTES, CHUNK_LEAVES
from node.content.downloads import DownloadResult, Outcome, Progress, download
from node.content.downloads.unsold import UNCONFIRMED_MAX
from node.content.lane import ContentLane
from node.content.prepayment import PREPAID_BYTES_MAX
from node.content.sales import ChunkSales
from p2p.network import Network, Stream
from p2p.wire.messages import (
    ChunksRequest,
    ContentRequest,
    Granted,
    NotForSale,
    Offer,
    OfferRequest,
)
from p2p.wire.protocols import CONTENT
from p2p.wire.requests import receive_message, send_message
from storage.content.store import ContentStore
from tests.node.content.content_world import ContentHost, build_job
from tests.node.content.downloads.scene import (
    CHUNKS,
    PLENTY,
    QUICK,
    Scene,
    build_scene,
    check_same,
    get_outcomes,
)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A datum with three hosts by the chain, to which the rule applies."""
    return build_scene(tmp_path, unsold_bytes_min=CHUNK_BYTES)


class Buying:
    """A download that runs beside a test, with what it has said so far."""

    def __init__(
        self,
        network: Network,
        content: ContentLane,
        store: ContentStore,
        scene: Scene,
        hosts: list[ContentHost],
    ) -> None:
        self.said: list[Progress] = []
        self.result: DownloadResult | None = None
        self.store = store
        self._network, self._content = network, content
        self._sales = ChunkSales(scene.chain.ledger)
        self._job = build_job(scene.chain, scene.session, scene.manifest, hosts, PLENTY[: len(hosts)])

    async def run(
        self, *, has_chain: bool = True, paths: tuple[str, ...] = (), bytes_per_second_max: int | None = None
    ) -> None:
        """Downloads the datum from the hosts; the buyer may not know the chain."""
        sales, job = self._sales if has_chain else None, replace(self._job, paths=paths)
        # A host that is asked for a chunk, and paid, gets the usual time to send it.
        limits = replace(QUICK, bytes_per_second_max=bytes_per_second_max, takeover_seconds=1.0)
        self.result = await download(self._network, self._content, job, self.said.append, limits, sales=sales)

    async def wait_until(self, is_so: Callable[[Progress], bool]) -> Progress:
        """Returns the newest progress once it is as wanted."""
        while self.result is None:
            if self.said and is_so(self.said[-1]):
                return self.said[-1]
            await trio.sleep(0.01)
        raise AssertionError(f"the download ended: {self.result}")

    @property
    def over(self) -> DownloadResult:
        """The result of a download that has ended."""
        assert self.result is not None
        return self.result


async def begin(scene: Scene, *numbers: int) -> Buying:
    """A download from these hosts, in a new session, that has not begun."""
    hosts = await scene.open_hosts(*numbers)
    network, content, store = await scene.open_reader()
    scene.session = scene.chain.open_session(scene.datum, PLENTY)
    return Buying(network, content, store, scene, hosts)


def list_owed(scene: Scene, number: int) -> set[int]:
    """The chunks in which the leaves lie that a host owes."""
    return {one.leaf_index // CHUNK_LEAVES for one in scene.chain.list_sampled(scene.chain.hosts[number])}


@pytest.mark.parametrize("has_chain", [True, False])
async def test_a_download_takes_other_chunks_and_waits_for_the_sampled_ones(
    scene: Scene, has_chain: bool
) -> None:
    """It says how many chunks it waits for and how long, keeps its hosts, and is complete when they are sold;
    with a chain of its own, and without.
    """
    async with scene.running():
        buying = await begin(scene, 1, 2)
        scene.chain.go_before_epoch()
        scene.chain.grow()
        unsold = list_owed(scene, 0)
        unsold |= list_owed(scene, 1) & list_owed(scene, 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(buying.run, has_chain=has_chain))
            told = await buying.wait_until(
                lambda one: one.bytes_done >= (CHUNKS - len(unsold)) * CHUNK_BYTES and one.unsold_chunks > 0
            )
            assert told.unsold_chunks == len(unsold)
            assert told.unsold_seconds == 1
            assert [host.outcome for host in told.hosts] == [Outcome.SERVING] * 2
            scene.chain.go_to_deadline()
    assert buying.over.is_complete
    assert get_outcomes(buying.over) == [Outcome.DONE] * 2
    lost = [report.lost_bytes for report in buying.over.hosts]
    assert lost == [0, 0] if has_chain else max(lost) < PREPAID_BYTES_MAX


async def test_the_sampled_host_itself_is_asked(scene: Scene) -> None:
    """With all hosts there, a download waits only for chunks in which leaves of two hosts lie."""
    async with scene.running():
        buying = await begin(scene, 0, 1, 2)
        scene.chain.go_before_epoch()
        scene.chain.grow()
        owed = [list_owed(scene, number) for number in range(3)]
        unsold = (owed[0] & owed[1]) | (owed[0] & owed[2]) | (owed[1] & owed[2])
        assert len(unsold) < len(owed[0] | owed[1] | owed[2])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(buying.run)
            await buying.wait_until(lambda one: one.bytes_done >= (CHUNKS - len(unsold) - 1) * CHUNK_BYTES)
            scene.chain.go_to_deadline()
    assert buying.over.is_complete


@pytest.mark.parametrize("has_chain", [True, False])
async def test_a_download_that_begins_in_the_pause_waits_for_its_end(scene: Scene, has_chain: bool) -> None:
    """Nothing is sold; then everything comes. Files of a datum wait like the whole."""
    async with scene.running():
        buying = await begin(scene, 0, 1)
        scene.chain.go_before_epoch(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(buying.run, has_chain=has_chain, paths=("a.bin",)))
            told = await buying.wait_until(lambda one: one.unsold_chunks > 0)
            assert told.bytes_done == 0
            assert told.paid == 0 or not has_chain, "who knows the chain does not pay for what is not sold"
            assert told.unsold_chunks * CHUNK_BYTES == told.bytes_total
            scene.chain.go_to_deadline()
    assert buying.over.is_complete


async def test_a_pause_in_the_middle_is_waited_for(scene: Scene) -> None:
    """Chunks under way when it begins are refused; they come later. What was paid ahead for them is spent on
    them, unless another host was faster.
    """
    async with scene.running():
        buying = await begin(scene, 0, 1, 2)
        scene.chain.go_before_epoch(3)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(buying.run, bytes_per_second_max=4 * CHUNK_BYTES))
            await buying.wait_until(lambda one: one.bytes_done >= 2 * CHUNK_BYTES)
            scene.chain.go_before_epoch(1)
            told = await buying.wait_until(lambda one: one.unsold_chunks > 0)
            assert 0 < told.bytes_done < told.bytes_total
            scene.chain.go_to_deadline()
        assert buying.over.is_complete
        check_same(scene, buying.store)
        assert get_outcomes(buying.over) == [Outcome.DONE] * 3, "a host that was right is not blamed"
        assert all(report.lost_bytes < PREPAID_BYTES_MAX for report in buying.over.hosts)


class Refuser:
    """A host that offers everything and sells nothing, whatever the rule says."""

    def __init__(self, host: ContentHost, *, is_whole: bool) -> None:
        self._is_whole = is_whole
        self.asked = 0
        host.network.serve(CONTENT, self.serve)

    async def serve(self, stream: Stream) -> None:
        await receive_message(stream, ContentRequest)
        await send_message(stream, Granted(None, 0, ()))
        while True:
            message = await receive_message(stream, ContentRequest)
            if isinstance(message, OfferRequest):
                await send_message(stream, Offer((2**CHUNKS - 1).to_bytes(2, "little")))
            if isinstance(message, ChunksRequest):
                self.asked += len(message.chunks)
                for chunk in message.chunks:
                    await send_message(stream, NotForSale(chunk, 3600, self._is_whole))


@pytest.mark.parametrize("is_whole", [True, False])
async def test_a_host_that_refuses_without_right_has_nothing_to_give(scene: Scene, is_whole: bool) -> None:
    """It says an hour; the buyer's chain says that everything is for sale. It is asked a few times more, then
    no more; the others give everything.
    """
    async with scene.running():
        honest, liar = await scene.open_hosts(0, 1)
        refuser = Refuser(liar, is_whole=is_whole)
        scene.chain.go_to_deadline()
        scene.session = scene.chain.open_session(scene.datum, PLENTY)
        network, content, _ = await scene.open_reader()
        await content.run(lambda disk: disk.begin(scene.manifest))
        job = build_job(scene.chain, scene.session, scene.manifest, [liar], PLENTY[:1])
        sales = ChunkSales(scene.chain.ledger)
        result = await download(network, content, job, limits=QUICK, sales=sales)
        assert get_outcomes(result) == [Outcome.NOT_DELIVERED], "it was paid ahead"
        assert (
            "does not sell" in result.hosts[0].reason or "none of what is missing" in result.hosts[0].reason
        )
        assert result.chunks_missing == CHUNKS
        assert refuser.asked <= (UNCONFIRMED_MAX + 1) * CHUNKS
        job = build_job(scene.chain, scene.session, scene.manifest, [honest, liar], PLENTY[:2])
        result = await download(network, content, job, limits=QUICK, sales=sales)
        assert result.is_complete
        assert result.hosts[1].chunks == 0
