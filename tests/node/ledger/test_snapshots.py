"""Snapshots of a running chain: when they are made, of what, and what peers are told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from chain import snapshot
from chain.block import compute_header_hash
from chain.light import LightBlock
from chain.primitives.codec import decode
from chain.snapshot import check_part, compute_manifest_hash, decode_manifest
from node.ledger import snapshots
from node.ledger.ledger import Ledger
from node.ledger.snapshots import SnapshotService, write_snapshot
from p2p.errors import PeerGone, Refused
from p2p.memory import MemoryHub
from p2p.switch.switch import Switch
from p2p.wire.messages import (
    LightBlockReply,
    LightBlockRequest,
    SnapshotManifestReply,
    SnapshotManifestRequest,
    SnapshotPartReply,
    SnapshotPartRequest,
    SnapshotRequest,
    Snapshots,
    SnapshotsRequest,
)
from p2p.wire.protocols import SNAPSHOT
from p2p.wire.requests import open_stream, request, send_message
from storage.snapshots import SnapshotFiles
from tests.node.forge import Forge, wait_until

EPOCH = 10


def check_snapshot(files: SnapshotFiles, ledger: Ledger, height: int) -> int:
    """Checks that the parts are the state of the height; returns their number."""
    header = ledger.get_header(height)
    assert header is not None
    manifest = decode_manifest(files.get_manifest(height) or b"", height, header.state_root)
    parts = [
        check_part(manifest, part, files.get_part(height, part) or b"")
        for part in range(len(manifest.starts))
    ]
    if height == ledger.height:
        assert dict(pair for part in parts for pair in part.pairs) == dict(ledger.state.scan(b""))
    return len(parts)


@pytest.mark.parametrize("target", [800, 3_000, 2**20])
@pytest.mark.parametrize("pass_bytes", [2_000, 2**26])
def test_a_snapshot_is_the_state_whatever_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: int, pass_bytes: int
) -> None:
    """A snapshot equals the state with one part or many, and one pass over the state or many."""
    monkeypatch.setattr(snapshot, "PART_BYTES_TARGET", target)
    monkeypatch.setattr(snapshots, "PASS_BYTES_MAX", pass_bytes)
    forge, files = Forge(), SnapshotFiles(tmp_path)
    forge.grow(3)
    assert write_snapshot(forge.ledger, files, lambda: None) == check_snapshot(files, forge.ledger, 3)
    assert (len(files.get_manifest(3) or b"") > 2_000) == (target == 800)


class Scene:
    """A node that makes snapshots, and a peer that asks."""

    def __init__(self, directory: Path) -> None:
        self.forge = Forge()
        self.files = SnapshotFiles(directory)
        self.is_behind = False
        self.network: Switch
        self.peer: Switch

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Scene"]:
        hub, genesis_hash = MemoryHub(), self.forge.genesis_hash
        async with (
            hub.open_network(b"n" * 32, genesis_hash) as self.network,
            hub.open_network(b"p" * 32, genesis_hash) as self.peer,
            trio.open_nursery() as nursery,
        ):
            await self.peer.connect(self.network.addresses[0])
            self.service = SnapshotService(
                self.network, self.forge.ledger, self.files, lambda: self.is_behind
            )
            await nursery.start(self.service.run)
            await trio.testing.wait_all_tasks_blocked()
            yield self
            nursery.cancel_scope.cancel()

    def grow(self, count: int) -> None:
        for _ in range(count):
            self.service.on_committed(self.forge.commit(self.forge.build()))

    async def wait_offers(self, heights: list[int]) -> None:
        """Until peers are told of these, and nothing is being made."""
        await wait_until(lambda: [offer.height for offer in self.service.offers] == heights)
        assert self.files.list_heights() == heights

    async def ask(self, message: SnapshotRequest, reply: type) -> object:
        return await request(self.peer, self.network.peer_id, SNAPSHOT, message, reply, 5)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with Scene(tmp_path).open() as opened:
        yield opened


async def test_the_end_of_an_epoch_makes_one_while_the_chain_goes_on(scene: Scene) -> None:
    """The snapshot is of the state at that block, however far the chain has gone on meanwhile."""
    scene.grow(EPOCH + 3)
    await scene.wait_offers([EPOCH])
    check_snapshot(scene.files, scene.forge.ledger, EPOCH)
    scene.grow(EPOCH)
    await scene.wait_offers([2 * EPOCH, EPOCH])


async def test_a_node_that_is_behind_makes_none(scene: Scene) -> None:
    """A node that is catching up makes no snapshot."""
    scene.is_behind = True
    scene.grow(EPOCH + 1)
    scene.is_behind = False
    scene.grow(EPOCH)
    await scene.wait_offers([2 * EPOCH])


async def test_an_epoch_that_ends_while_one_is_made_has_none(scene: Scene) -> None:
    """While a snapshot is being made, the end of another epoch is skipped."""
    scene.grow(2 * EPOCH)
    await scene.wait_offers([EPOCH])
    scene.grow(EPOCH)
    await scene.wait_offers([3 * EPOCH, EPOCH])


async def test_a_snapshot_that_can_not_be_made_ends_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed snapshot is dropped, and the next one is made."""
    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "PART_BYTES_MAX", 10)
        scene.grow(EPOCH)
        await wait_until(lambda: scene.service.ended == 1)
    assert list(scene.files.list_heights()) == []
    scene.grow(EPOCH)
    await scene.wait_offers([2 * EPOCH])


async def test_peers_are_told_what_is_there(scene: Scene) -> None:
    """Offer, manifest, parts and light blocks fit together; what is not there is refused."""
    scene.grow(EPOCH)
    assert await scene.ask(SnapshotsRequest(), Snapshots) == Snapshots(())
    await wait_until(lambda: scene.service.offers != ())
    [offer] = (await scene.ask(SnapshotsRequest(), Snapshots)).offers
    header = scene.forge.ledger.get_header(EPOCH)
    assert (offer.height, offer.block_hash) == (EPOCH, compute_header_hash(header))
    told = await scene.ask(SnapshotManifestRequest(offer.manifest_hash), SnapshotManifestReply)
    assert compute_manifest_hash(told.manifest) == offer.manifest_hash
    manifest = decode_manifest(told.manifest, EPOCH, header.state_root)
    part = await scene.ask(SnapshotPartRequest(offer.manifest_hash, 0), SnapshotPartReply)
    check_part(manifest, 0, part.part)
    block = decode(LightBlock, (await scene.ask(LightBlockRequest(EPOCH), LightBlockReply)).block)
    assert block.header == header
    assert block.certificate == scene.forge.ledger.get_certificate(EPOCH)
    for message, reply in (
        (SnapshotManifestRequest(bytes(32)), SnapshotManifestReply),
        (SnapshotPartRequest(bytes(32), 0), SnapshotPartReply),
        (SnapshotPartRequest(offer.manifest_hash, len(manifest.starts)), SnapshotPartReply),
        (SnapshotPartRequest(offer.manifest_hash, 2**32 - 1), SnapshotPartReply),
        (LightBlockRequest(EPOCH + 1), LightBlockReply),
        (LightBlockRequest(2**62), LightBlockReply),
    ):
        with pytest.raises(Refused):
            await scene.ask(message, reply)


async def test_what_is_not_of_this_chain_is_not_offered(scene: Scene, tmp_path: Path) -> None:
    """Snapshots of another chain, or above the head after a store was moved away, are not offered."""
    scene.grow(EPOCH)
    await wait_until(lambda: scene.service.offers != ())
    for forge in (Forge(5), Forge()):
        if forge.ledger.spec != scene.forge.spec:
            forge.grow(EPOCH)
        service = SnapshotService(scene.network, forge.ledger, SnapshotFiles(tmp_path), lambda: False)
        assert service.offers == ()


async def test_an_answer_is_no_request(scene: Scene) -> None:
    """A peer that sends a reply in place of a request has broken the protocol."""
    async with open_stream(scene.peer, scene.network.peer_id, SNAPSHOT) as stream:
        await send_message(stream, Snapshots(()))
        with pytest.raises(PeerGone):
            await stream.receive()
    assert scene.network.scores.get_score(scene.peer.peer_id) < 100
