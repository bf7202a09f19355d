"""An honest chain with snapshots, a node without a store, and peers with the answers of a test."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio

from chain import snapshot
from chain.genesis import ChainSpec
from chain.modules import balances, system
from chain.primitives.codec import Record, decode, encode, replace
from chain.primitives.keys import is_signed_by
from chain.primitives.types import Height, PeerId
from chain.snapshot import SnapshotManifest, compute_manifest_hash
from node.ledger.ledger import CommittedBlock, Ledger
from node.ledger.snapshots import SnapshotService, write_snapshot
from node.state_sync import Anchor, StateSync
from p2p.errors import Refused
from p2p.memory import MemoryHub
from p2p.switch.switch import Switch
from p2p.wire.messages import (
    SnapshotManifestReply,
    SnapshotManifestRequest,
    SnapshotReply,
    SnapshotRequest,
    Snapshots,
    SnapshotsRequest,
)
from p2p.wire.protocols import SNAPSHOT
from p2p.wire.requests import build_answerer
from storage.kv import MemoryStore
from storage.snapshots import SnapshotFiles, Staging
from tests.node.cluster import build_cluster_spec
from tests.node.forge import ALICE, BOB, Forge, make_final

VALIDATORS = 6
"""All of equal power: four of them are exactly two thirds."""
HEIGHT = 20
"""The last block of the second epoch; the chain has some more."""
HEAD = 25
PART_BYTES = 1_000


def build_spec() -> ChainSpec:
    """A chain with fast blocks, whose genesis can be trusted to its end."""
    spec = build_cluster_spec(VALIDATORS, guests=(ALICE, BOB))
    parameters = replace(spec.staking.parameters, unbonding_eras=500)
    return replace(spec, staking=replace(spec.staking, parameters=parameters))


@dataclass
class Chain:
    """An honest chain with its snapshots."""

    forge: Forge
    files: SnapshotFiles
    committed: list[CommittedBlock]

    @property
    def ledger(self) -> Ledger:
        return self.forge.ledger


@contextmanager
def make_chain() -> Iterator[Chain]:
    """A chain with two snapshots of many small parts each, and some blocks beyond."""
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "PART_BYTES_TARGET", PART_BYTES)
        forge, files, committed = (
            Forge(spec=build_spec(), count=VALIDATORS),
            SnapshotFiles(Path(directory)),
            [],
        )
        for height in range(1, HEAD + 1):
            sent = [forge.sign(ALICE, balances.Send(BOB.address, 7))] if height == 5 else []
            committed.append(forge.commit(forge.build(sent)))
            if system.is_epoch_end(forge.ledger.get_parameters(), height):
                write_snapshot(forge.ledger, files, lambda: None)
        assert files.list_heights() == [HEIGHT, 10]
        yield Chain(forge, files, committed)


class Silence:
    """No answer, forever."""


Answer = SnapshotReply | Refused | Silence
Change = Callable[["Scene", SnapshotRequest, Any], Answer]


@dataclass
class Scene:
    """A node without a store, and its peers."""

    chain: Chain
    hub: MemoryHub = field(default_factory=MemoryHub)
    store: MemoryStore = field(default_factory=MemoryStore)
    anchor: Anchor | None = None
    asked: list[SnapshotRequest] = field(default_factory=list)
    age_ms: int = 1_000

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Scene"]:
        """Opens the node under test and its network."""
        ledger = self.chain.ledger
        async with self.hub.open_network(b"n" * 32, ledger.genesis_hash) as self.network:
            self.sync = self.build_sync(self.network)
            async with trio.open_nursery() as self.nursery:
                yield self
                self.nursery.cancel_scope.cancel()

    def build_sync(self, network: Switch) -> StateSync:
        now_ms = self.chain.ledger.head.time_ms + self.age_ms
        staging = Staging(self.store)
        return StateSync(network, self.chain.ledger.spec, staging, lambda: now_ms, is_signed_by, self.anchor)

    @asynccontextmanager
    async def join(self, number: int, change: Change | None = None) -> AsyncIterator[PeerId]:
        """A peer with the honest chain and these changes of its answers."""
        seed = bytes((number,)) * 32
        async with self.hub.open_network(seed, self.chain.ledger.genesis_hash) as network:
            service = SnapshotService(network, self.chain.ledger, self.chain.files, lambda: False)

            async def answer(peer: PeerId, message: SnapshotRequest) -> SnapshotReply:
                self.asked.append(message)
                try:
                    reply: Answer = await service.answer(peer, message)
                except Refused as refused:
                    reply = refused
                if change is not None:
                    reply = change(self, message, reply)
                if isinstance(reply, Silence):
                    await trio.sleep_forever()
                if isinstance(reply, Refused):
                    raise reply
                return reply

            network.serve(SNAPSHOT, build_answerer(SnapshotRequest, answer, 8))
            peer = await self.network.connect(network.addresses[0])
            with trio.CancelScope() as scope:
                self.nursery.start_soon(self.run_peer, peer, scope)
                yield peer
            scope.cancel()

    async def run_peer(self, peer: PeerId, scope: trio.CancelScope) -> None:
        await self.sync.sources.run_peer(peer)

    async def finish(self) -> Height | None:
        with trio.fail_after(30):
            return await self.sync.run()

    def is_banned(self, peer: PeerId) -> bool:
        return [ban.peer for ban in self.network.bans()] == [peer]

    def check_ledger(self) -> Ledger:
        """The store opens like one that executed every block, and the ledger goes on to the head."""
        honest = self.chain.ledger
        ledger = Ledger(self.store, honest.spec)
        assert ledger.height == HEIGHT
        ledger.state.check_integrity()
        for committed in self.chain.committed[HEIGHT:]:
            make_final(ledger, ledger.execute(committed.block), committed.certificate)
        assert ledger.head_hash == honest.head_hash
        assert list(ledger.state.scan(b"")) == list(honest.state.scan(b""))
        assert ledger.get_free(BOB.address) == honest.get_free(BOB.address)
        return Ledger(self.store, honest.spec)


def on(kind: type[Record], lie: Change) -> Change:
    """Applies the lie to answers to one kind of request."""

    def apply(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        return lie(scene, message, reply) if isinstance(message, kind) else reply

    return apply


def offer(**changes: object) -> Change:
    """Changes the offer of the newest snapshot."""

    def lie(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        assert isinstance(reply, Snapshots)
        newest = max(reply.offers, key=lambda one: one.height)
        return Snapshots((replace(newest, **changes),))

    return on(SnapshotsRequest, lie)


def cut_manifest(change: Callable[[SnapshotManifest], SnapshotManifest]) -> Change:
    """Changes the manifest and offers it by its hash."""

    def make(scene: Scene) -> bytes:
        return encode(change(decode(SnapshotManifest, scene.chain.files.get_manifest(HEIGHT) or b"")))

    def lie(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        if isinstance(message, SnapshotManifestRequest):
            return SnapshotManifestReply(make(scene))
        return offer(manifest_hash=compute_manifest_hash(make(scene)))(scene, message, reply)

    return lie
