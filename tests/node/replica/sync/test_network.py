"""Block sync over the in-memory network and the trio world, with real streams, threads and bans."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio

from chain.primitives.keys import is_signed_by
from chain.primitives.types import PeerId
from chain.runtime import BlockResult
from chain.votes import CommitCertificate
from node.clock import WallClock
from node.ledger.lane import Lane
from node.ledger.ledger import CommittedBlock, Ledger
from node.replica.sync import catch_up
from node.replica.sync.sync import Sync
from node.replica.trio_world import ReplicaWorld, serve_sync
from p2p.errors import PeerGone
from p2p.memory import MemoryHub
from p2p.network import Stream
from p2p.switch.switch import Switch
from p2p.wire.messages import (
    Blocks,
    BlocksRequest,
    ConsensusMessage,
    Headers,
    HeadersRequest,
    Status,
    StatusRequest,
    SyncReply,
    SyncRequest,
)
from p2p.wire.protocols import CONSENSUS, SYNC
from p2p.wire.requests import build_answerer, open_stream, request, send_message
from storage.kv import MemoryStore
from tests.node.forge import wait_until
from tests.node.replica.sync.lies import HEIGHT, LIES, History, build_history, build_honest, build_liar
from tests.node.replica.sync.world import Answer


class NoGossip:
    """No messages of consensus are exchanged here."""

    def connected(self, peer: PeerId) -> None:
        """Does nothing."""

    def disconnected(self, peer: PeerId) -> None:
        """Does nothing."""

    def on_message(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Does nothing."""
        raise AssertionError


class Scene:
    """A node that is behind, and its peers."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.hub = MemoryHub()
        self.ledger = Ledger(MemoryStore(), history.forge.spec)
        self.network: Switch
        self.world: ReplicaWorld
        self.sync: Sync

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Scene"]:
        """Opens the node under test and its network."""
        async with self.hub.open_network(b"n" * 32, self.ledger.genesis_hash) as self.network:
            self.world = ReplicaWorld(self.network, Lane(), WallClock())
            self.sync = Sync(self.world, self.ledger, is_signed_by, self.commit, Random(0))
            async with trio.open_nursery() as nursery:
                await nursery.start(self.world.open, NoGossip(), self.sync)
                yield self
                nursery.cancel_scope.cancel()

    def commit(self, result: BlockResult, certificate: CommitCertificate, then: Callable[[], None]) -> None:
        """As `Replica.commit`."""

        def on_done(committed: CommittedBlock) -> None:
            self.ledger.move_head(committed)
            then()

        self.world.run(lambda: self.ledger.commit(result, certificate), on_done)

    @asynccontextmanager
    async def join(self, number: int, answer: Answer | None = None) -> AsyncIterator[PeerId]:
        """A peer with these answers; an honest node by default."""
        seed = bytes((number,)) * 32
        async with self.hub.open_network(seed, self.ledger.genesis_hash) as network:
            if answer is None:
                serve_sync(network, self.history.forge.ledger)
            else:
                network.serve(SYNC, build_answerer(SyncRequest, hold(answer), 8))
            network.serve(CONSENSUS, listen)
            peer = await self.network.connect(network.addresses[0])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.run_peer, peer)
                await wait_until(lambda: peer in self.sync.peers)
                yield peer
                nursery.cancel_scope.cancel()

    async def run_peer(self, peer: PeerId) -> None:
        """Runs the peer while it is connected, as the peer manager does."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.world.run_peer, peer)
            gone = trio.Event()
            stop = self.network.watch(lambda event: gone.set())
            while self.network.is_connected(peer):
                await gone.wait()
                gone = trio.Event()
            stop()
            nursery.cancel_scope.cancel()

    async def catch_up(self) -> None:
        """Waits until sync has ended."""
        self.sync.catch_up(lambda: None)
        await wait_until(lambda: not self.sync.is_syncing)


async def listen(stream: Stream) -> None:
    """Reads everything and answers nothing."""
    await trio.sleep_forever()


def hold(answer: Answer) -> Callable[[PeerId, SyncRequest], Awaitable[SyncReply]]:
    """The answers in the form of build_answerer; None is never answered."""

    async def reply(peer: PeerId, message: SyncRequest) -> SyncReply:
        told = answer(message)
        if told is None:
            await trio.sleep_forever()
        assert told is not None
        return told

    return reply


@pytest.fixture(scope="module")
def history() -> History:
    """An honest chain."""
    return build_history()


@pytest.fixture
async def scene(history: History) -> AsyncIterator[Scene]:
    """A node at genesis without peers."""
    async with Scene(history).open() as opened:
        yield opened


async def test_a_node_catches_up_with_honest_peers(scene: Scene) -> None:
    """After sync, state and certificates are those of the other node."""
    async with scene.join(1), scene.join(2):
        await scene.catch_up()
    assert scene.ledger.head_hash == scene.history.forge.ledger.head_hash
    assert scene.ledger.get_certificate(HEIGHT) == scene.history.forge.ledger.get_certificate(HEIGHT)
    assert scene.network.bans() == ()


@pytest.mark.parametrize(
    "name", ["nothing", "filled up with precommits for nil", "a body without its transactions"]
)
async def test_a_liar_is_banned_and_the_honest_one_is_enough(scene: Scene, name: str) -> None:
    """A liar's connection ends, and with it its part in sync."""
    async with scene.join(1, build_liar(scene.history, LIES[name])) as liar:
        scene.sync.catch_up(lambda: None)
        await wait_until(lambda: not scene.sync.peers)
        assert [ban.peer for ban in scene.network.bans()] == [liar]
        assert scene.ledger.height < HEIGHT
        async with scene.join(2):
            await wait_until(lambda: not scene.sync.is_syncing)
        assert len(scene.network.bans()) == 1
    assert scene.ledger.head_hash == scene.history.forge.ledger.head_hash


async def test_who_never_answers_is_passed_over(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent peer's stream is closed at the deadline, and the peer is not banned."""
    honest, asked = build_honest(scene.history), list[SyncRequest]()

    def stall(message: SyncRequest) -> SyncReply | None:
        asked.append(message)
        return None if isinstance(message, BlocksRequest) else honest(message)

    async with scene.join(1, stall):
        monkeypatch.setattr(catch_up, "BLOCKS_MS_MAX", 50)
        scene.sync.catch_up(lambda: None)
        await wait_until(lambda: len(asked) == 2)
        async with scene.join(2):
            await wait_until(lambda: not scene.sync.is_syncing)
    assert scene.ledger.height == HEIGHT
    assert scene.network.bans() == ()


async def test_a_node_answers_each_kind_of_request(scene: Scene) -> None:
    """Requests are answered by a bounded number of threads, and the loop does not wait for the disk."""
    async with scene.join(1) as peer:
        reply = await request(scene.network, peer, SYNC, BlocksRequest(3, 2), Blocks, 5)
        assert [final.certificate.height for final in reply.blocks] == [3, 4]
        headers = await request(scene.network, peer, SYNC, HeadersRequest(5, 9), Headers, 5)
        assert [final.certificate.height for final in headers.headers] == [5, 6]
        status = await request(scene.network, peer, SYNC, StatusRequest(), Status, 5)
        assert status == Status(HEIGHT, scene.history.forge.ledger.head_hash, 0)


async def test_an_answer_is_no_request(scene: Scene) -> None:
    """A reply where a request belongs breaks the protocol; the node goes on serving other peers."""
    async with scene.join(1) as peer, open_stream(scene.network, peer, SYNC) as stream:
        await send_message(stream, Status(1, bytes(32), 0))
        with pytest.raises(PeerGone):
            await stream.receive()
        status = await request(scene.network, peer, SYNC, StatusRequest(), Status, 5)
        assert status.height == HEIGHT
        assert scene.hub._nodes[peer][0].scores.get_score(scene.network.peer_id) < 100
