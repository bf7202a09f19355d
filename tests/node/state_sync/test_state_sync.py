"""State sync over the in-memory network: with honest peers, over restarts, and what is trusted."""

from typing import Any

import pytest
import trio

from chain.light import LightBlock
from chain.primitives.codec import decode, encode, replace
from chain.snapshot import SnapshotManifest
from node import state_sync
from node.ledger.ledger import Ledger
from node.state_sync import Anchor, TrustTooOld, UnknownAnchor, fetching
from p2p.errors import RefusalCode, Refused
from p2p.wire.messages import (
    LightBlockReply,
    LightBlockRequest,
    SnapshotPartRequest,
    SnapshotRequest,
    Snapshots,
    SnapshotsRequest,
)
from storage.snapshots import Staging
from tests.node.forge import wait_until
from tests.node.state_sync.scene import (
    HEAD,
    HEIGHT,
    Answer,
    Chain,
    Change,
    Scene,
    Silence,
    cut_manifest,
    on,
)


async def test_an_honest_peer_is_enough(scene: Scene) -> None:
    """With one honest peer the newest snapshot is fetched, and the ledger goes on above it."""
    async with scene.join(1):
        assert await scene.finish() == HEIGHT
    assert scene.network.bans() == ()
    ledger = scene.check_ledger()
    assert ledger.height == HEAD
    assert ledger.chain.get_body_first() == HEIGHT + 1
    assert (ledger.get_block(HEIGHT), ledger.get_header(HEIGHT - 1)) == (None, None)


async def test_parts_come_from_several(scene: Scene) -> None:
    """Every peer that offers the snapshot is asked for parts, and few parts are fetched twice."""
    served: dict[int, int] = {}

    def count(number: int) -> Change:
        def note(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
            if isinstance(message, SnapshotPartRequest):
                served[number] = served.get(number, 0) + 1
            return reply

        return note

    async with scene.join(1, count(1)), scene.join(2, count(2)), scene.join(3, count(3)):
        assert await scene.finish() == HEIGHT
    assert len(served) == 3
    manifest = decode(SnapshotManifest, scene.chain.files.get_manifest(HEIGHT) or b"")
    assert len(manifest.starts) <= sum(served.values()) <= len(manifest.starts) + 3
    scene.check_ledger()


# Going on, and what is not there.


async def test_it_goes_on_where_it_was(scene: Scene) -> None:
    """Parts that were fetched before a restart are kept, and not requested again."""
    taken: list[int] = []

    def run_dry(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        if isinstance(message, SnapshotPartRequest):
            if len(taken) == 3:
                return Silence()
            taken.append(message.part)
        return reply

    async with scene.join(1, run_dry), trio.open_nursery() as nursery:
        nursery.start_soon(scene.sync.run)
        manifest = decode(SnapshotManifest, scene.chain.files.get_manifest(HEIGHT) or b"")
        await wait_until(
            lambda: len(Staging(scene.store).list_missing(len(manifest.starts))) == len(manifest.starts) - 3
        )
        nursery.cancel_scope.cancel()
    async with Scene(scene.chain, store=scene.store).open() as again, again.join(2):
        assert await again.finish() == HEIGHT
        parts = [message.part for message in again.asked if isinstance(message, SnapshotPartRequest)]
        assert set(parts) == set(range(len(manifest.starts))) - set(taken)
        assert not any(isinstance(message, LightBlockRequest) for message in again.asked)
        again.check_ledger()
    async with Scene(scene.chain, store=scene.store).open() as whole:
        assert await whole.finish() == HEAD


async def test_a_snapshot_that_nobody_has_any_more_is_given_up_for_another(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no peer offers the snapshot any more, its parts are dropped and another one is fetched."""
    monkeypatch.setattr(fetching, "GONE_SECONDS", 0.1)

    def keep_older(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        return Snapshots(tuple(one for one in reply.offers if one.height < HEIGHT))

    def keep_first(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        assert isinstance(message, SnapshotPartRequest)
        return reply if message.part == 0 else Refused(RefusalCode.NOT_FOUND)

    async with trio.open_nursery() as nursery:
        async with scene.join(1, on(SnapshotPartRequest, keep_first)):
            nursery.start_soon(scene.finish)
            await wait_until(lambda: 0 not in Staging(scene.store).list_missing(1))
        async with scene.join(2, on(SnapshotsRequest, keep_older)):
            await wait_until(lambda: Staging(scene.store).is_whole)
    ledger = Ledger(scene.store, scene.chain.ledger.spec)
    assert ledger.height == 10
    ledger.state.check_integrity()


async def test_a_manifest_that_nobody_brings_to_an_end_comes_last_from_then_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A liar's own cut of the true state is valid but no other peer has its parts: it is given up."""
    monkeypatch.setattr(fetching, "STALL_SECONDS", 0.2)
    own_cut = cut_manifest(lambda manifest: replace(manifest, starts=manifest.starts[:1]))

    def stingy(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        if isinstance(message, SnapshotPartRequest):
            return Refused(RefusalCode.BUSY)
        return own_cut(scene, message, reply)

    async with scene.join(1, stingy), trio.open_nursery() as nursery:
        nursery.start_soon(scene.finish)
        await wait_until(lambda: Staging(scene.store).get_plan() is not None)
        async with scene.join(2):
            await wait_until(lambda: Staging(scene.store).is_whole)
    scene.check_ledger()


async def test_where_nobody_has_a_snapshot_the_node_begins_at_genesis(scene: Scene) -> None:
    """Without a snapshot, as in a network younger than an epoch, the node begins at genesis."""
    async with scene.join(1, on(SnapshotsRequest, lambda scene, message, reply: Snapshots(()))):
        assert await scene.finish() is None
    assert not Staging(scene.store).is_whole


async def test_a_peer_that_began_above_a_header_is_no_liar(scene: Scene) -> None:
    """A peer may have no header on the way, but it must have the one that it offers."""

    def lack(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        assert isinstance(message, LightBlockRequest)
        return reply if message.height >= HEIGHT else Refused(RefusalCode.NOT_FOUND)

    async with scene.join(1, on(LightBlockRequest, lack)):
        assert await scene.finish() == HEIGHT
    assert scene.network.bans() == ()


# What is trusted.


async def test_old_trust_is_refused(chain: Chain) -> None:
    """Validators of an old genesis may have withdrawn their bonds: the operator must name a later block."""
    spec = chain.ledger.spec
    period_ms = 250 * spec.system.parameters.era_epochs * spec.system.parameters.epoch_blocks
    period_ms *= spec.system.parameters.block_ms
    async with Scene(chain, age_ms=period_ms + 1).open() as scene, scene.join(1):
        with pytest.raises(TrustTooOld, match="--trust"):
            await scene.finish()
        assert scene.network.bans() == ()
    late = chain.committed[9]
    anchor = Anchor(10, late.block_hash)
    age_ms = period_ms - (chain.ledger.head.time_ms - late.block.header.time_ms) - 1
    async with Scene(chain, age_ms=age_ms, anchor=anchor).open() as scene, scene.join(1):
        assert await scene.finish() == HEIGHT
        scene.check_ledger()


async def test_the_operators_block_must_be_the_networks(chain: Chain) -> None:
    """No peer is banned for another block at the operator's height: the operator may be wrong."""
    async with Scene(chain, anchor=Anchor(7, bytes(32))).open() as scene, scene.join(1), scene.join(2):
        with pytest.raises(UnknownAnchor):
            await scene.finish()
        assert scene.network.bans() == ()


async def test_one_peer_with_another_block_than_the_operators_is_passed_over(chain: Chain) -> None:
    """If one peer has another block at the operator's height, other peers are asked."""
    anchor = Anchor(7, chain.committed[6].block_hash)
    other = on(
        LightBlockRequest, lambda scene, message, reply: move_time(reply) if message.height == 7 else reply
    )
    async with Scene(chain, anchor=anchor).open() as scene, scene.join(1, other), scene.join(2):
        assert await scene.finish() == HEIGHT
        assert scene.network.bans() == ()


def move_time(reply: Any) -> Answer:
    assert isinstance(reply, LightBlockReply)
    block = decode(LightBlock, reply.block)
    return LightBlockReply(encode(replace(block, header=replace(block.header, time_ms=1))))


def test_a_block_is_named_by_height_and_hash() -> None:
    """A malformed `--trust` is refused before any peer is asked."""
    assert state_sync.parse_anchor("12:" + "ab" * 32) == Anchor(12, b"\xab" * 32)
    for text in ("", "12", "12:", ":" + "ab" * 32, "x:" + "ab" * 32, "12:" + "xy" * 32, "-1:" + "ab" * 32):
        with pytest.raises(ValueError):
            state_sync.parse_anchor(text)
