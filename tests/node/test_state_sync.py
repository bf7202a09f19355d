"""State sync over the in-memory network: from the honest, and past every kind of liar."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio

from chain import snapshot
from chain.block import compute_header_hash
from chain.genesis import ChainSpec
from chain.light import LightBlock
from chain.modules import balances, system
from chain.primitives.codec import Record, decode, encode, replace
from chain.primitives.keys import KeyPair, is_signed_by
from chain.primitives.types import Height, PeerId
from chain.snapshot import Manifest, Part, compute_manifest_hash
from chain.validator_set import Roster, ValidatorChange, compute_roster_hash
from chain.votes import (
    CertificateSignature,
    CommitCertificate,
    SignedVote,
    Vote,
    VoteKind,
    build_commit_certificate,
    get_vote_signing_bytes,
)
from node import state_sync
from node.ledger import Committed, Ledger
from node.snapshots import SnapshotService, write_snapshot
from node.state_sync import Anchor, StateSync, TrustTooOld, UnknownAnchor, fetching, run, sources, trust
from p2p.errors import RefusalCode, Refused
from p2p.memory import MemoryHub
from p2p.messages import (
    LightBlockReply,
    LightBlockRequest,
    SnapshotManifest,
    SnapshotManifestRequest,
    SnapshotPart,
    SnapshotPartRequest,
    SnapshotReply,
    SnapshotRequest,
    Snapshots,
    SnapshotsRequest,
)
from p2p.protocols import SNAPSHOT
from p2p.requests import build_answerer
from p2p.switch import Switch
from storage.kv import MemoryStore
from storage.snapshots import SnapshotFiles, Staging
from tests.node.cluster import build_cluster_spec
from tests.node.forge import ALICE, BOB, Forge, wait_until

VALIDATORS = 6
"""Of equal power: four of them are exactly two thirds."""
HEIGHT = 20
"""The last block of the second epoch; the chain goes on for some more."""
HEAD = 25
PART_BYTES = 1_000


def build_spec() -> ChainSpec:
    """Blocks come fast, and trust lasts for all of them."""
    spec = build_cluster_spec(VALIDATORS, guests=(ALICE, BOB))
    parameters = replace(spec.staking.parameters, unbonding_eras=500)
    return replace(spec, staking=replace(spec.staking, parameters=parameters))


@dataclass
class Chain:
    """An honest chain with its snapshots, made once."""

    forge: Forge
    files: SnapshotFiles
    committed: list[Committed]

    @property
    def ledger(self) -> Ledger:
        return self.forge.ledger


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    """Two snapshots of many small parts each, and blocks beyond."""
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


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Surveys follow each other at once."""
    monkeypatch.setattr(fetching, "SURVEY_SECONDS", 0.01)
    monkeypatch.setattr(run, "ROUND_SECONDS", 0.01)
    monkeypatch.setattr(run, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(sources, "BUSY_SECONDS", 0.01)


class Silence:
    """No answer, for ever."""


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
        """The node under test, with its network."""
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
        """A peer with the honest chain, that changes its answers so."""
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
                self.nursery.start_soon(self.attend, peer, scope)
                yield peer
            scope.cancel()

    async def attend(self, peer: PeerId, scope: trio.CancelScope) -> None:
        await self.sync.sources.attend(peer)

    async def finish(self) -> Height | None:
        with trio.fail_after(30):
            return await self.sync.run()

    def is_banned(self, peer: PeerId) -> bool:
        return [ban.peer for ban in self.network.bans()] == [peer]

    def check_ledger(self) -> Ledger:
        """The store opens like one that executed everything, and goes on to the head."""
        honest = self.chain.ledger
        ledger = Ledger(self.store, honest.spec)
        assert ledger.height == HEIGHT
        ledger.state.check_integrity()
        for committed in self.chain.committed[HEIGHT:]:
            ledger.commit(ledger.execute(committed.block), committed.certificate)
        assert ledger.head_hash == honest.head_hash
        assert list(ledger.state.scan(b"")) == list(honest.state.scan(b""))
        assert ledger.get_free(BOB.address) == honest.get_free(BOB.address)
        return Ledger(self.store, honest.spec)


@pytest.fixture
async def scene(chain: Chain) -> AsyncIterator[Scene]:
    """A node with nothing."""
    async with Scene(chain).open() as opened:
        yield opened


async def test_an_honest_peer_is_enough(scene: Scene) -> None:
    """The newest snapshot is in, the ledger opens above it and executes what follows."""
    async with scene.join(1):
        assert await scene.finish() == HEIGHT
    assert scene.network.bans() == ()
    ledger = scene.check_ledger()
    assert ledger.height == HEAD
    assert ledger.chain.get_body_first() == HEIGHT + 1
    assert (ledger.get_block(HEIGHT), ledger.get_header(HEIGHT - 1)) == (None, None)


async def test_parts_come_from_several(scene: Scene) -> None:
    """Everybody who offers the snapshot is asked for parts, and no part is fetched twice without need."""
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
    manifest = decode(Manifest, scene.chain.files.get_manifest(HEIGHT) or b"")
    assert len(manifest.starts) <= sum(served.values()) <= len(manifest.starts) + 3
    scene.check_ledger()


# Liars.


def on(kind: type[Record], lie: Change) -> Change:
    """A lie in the answer to one kind of request."""

    def apply(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        return lie(scene, message, reply) if isinstance(message, kind) else reply

    return apply


def offer(**changes: object) -> Change:
    """The newest snapshot, offered otherwise than it is."""

    def lie(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        assert isinstance(reply, Snapshots)
        newest = max(reply.offers, key=lambda one: one.height)
        return Snapshots((replace(newest, **changes),))

    return on(SnapshotsRequest, lie)


def show(change: Callable[[Scene, LightBlock], LightBlock]) -> Change:
    """A light block otherwise than it is."""

    def lie(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        assert isinstance(reply, LightBlockReply)
        return LightBlockReply(encode(change(scene, decode(LightBlock, reply.block))))

    return on(LightBlockRequest, lie)


def certify(change: Callable[[Scene, CommitCertificate], CommitCertificate]) -> Change:
    """A certificate otherwise than it is."""
    return show(lambda scene, block: replace(block, certificate=change(scene, block.certificate)))


def sign_nil(scene: Scene, certificate: CommitCertificate) -> CommitCertificate:
    """Exactly two thirds for the block, padded with good precommits of the others for nil."""
    padding = []
    for part in certificate.signatures[4:]:
        vote = Vote(VoteKind.PRECOMMIT, certificate.height, certificate.round, None, part.validator)
        key = scene.chain.forge.by_address[part.validator].keys.consensus
        message = get_vote_signing_bytes(scene.chain.ledger.genesis_hash, vote)
        padding.append(CertificateSignature(part.validator, key.sign(message)))
    return replace(certificate, signatures=(*certificate.signatures[:4], *padding))


def spoil_signature(scene: Scene, certificate: CommitCertificate) -> CommitCertificate:
    last = replace(certificate.signatures[-1], signature=bytes(64))
    return replace(certificate, signatures=(*certificate.signatures[:-1], last))


@cache
def list_own_keys() -> tuple[KeyPair, ...]:
    return tuple(KeyPair(bytes((200 + number,)) * 32) for number in range(4))


def invent(scene: Scene, block: LightBlock) -> LightBlock:
    """A header of a chain whose validators are all the liar's."""
    keys = sorted(list_own_keys(), key=lambda key: key.public_key)
    roster = Roster(tuple(ValidatorChange(key.public_key, key.public_key, 1) for key in keys))
    roster_hash = compute_roster_hash(roster)
    header = replace(block.header, validators_hash=roster_hash, next_validators_hash=roster_hash)
    votes = []
    for key in keys:
        vote = Vote(VoteKind.PRECOMMIT, header.height, 0, compute_header_hash(header), key.public_key)
        message = get_vote_signing_bytes(scene.chain.ledger.genesis_hash, vote)
        votes.append(SignedVote(vote, key.sign(message)))
    return LightBlock(header, build_commit_certificate(votes), roster)


def cut_manifest(change: Callable[[Manifest], Manifest]) -> Change:
    """Another manifest, offered by its hash."""

    def make(scene: Scene) -> bytes:
        return encode(change(decode(Manifest, scene.chain.files.get_manifest(HEIGHT) or b"")))

    def lie(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        if isinstance(message, SnapshotManifestRequest):
            return SnapshotManifest(make(scene))
        return offer(manifest_hash=compute_manifest_hash(make(scene)))(scene, message, reply)

    return lie


def spoil_slot(manifest: Manifest) -> Manifest:
    place = next(place for place, slot in enumerate(manifest.slots) if len(slot) == 32)
    slots = list(manifest.slots)
    slots[place] = bytes(32)
    return replace(manifest, slots=tuple(slots))


def send_part(change: Callable[[Scene, SnapshotPartRequest, bytes], bytes]) -> Change:
    """Another part than the one asked for."""

    def lie(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        assert isinstance(reply, SnapshotPart)
        assert isinstance(message, SnapshotPartRequest)
        return SnapshotPart(change(scene, message, reply.part))

    return on(SnapshotPartRequest, lie)


def change_value(scene: Scene, message: SnapshotPartRequest, part: bytes) -> bytes:
    (key, value), *others = decode(Part, part).pairs
    return encode(Part(((key, value + b"!"), *others)))


def refuse(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
    return Refused(RefusalCode.NOT_FOUND)


def both(*changes: Change) -> Change:
    def apply(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        for change in changes:
            reply = change(scene, message, reply)
        return reply

    return apply


LIES: dict[str, Change] = {
    "a height that does not exist": both(
        offer(height=10**9), on(LightBlockRequest, lambda scene, message, reply: reply)
    ),
    "a height that does not exist, with another's header": both(
        offer(height=10**9),
        on(LightBlockRequest, lambda scene, message, reply: LightBlockReply(build_block(scene, HEIGHT))),
    ),
    "a height that does not exist, with a header of its own making": both(
        offer(height=10**9),
        on(LightBlockRequest, lambda scene, message, reply: LightBlockReply(build_future(scene, message))),
    ),
    "another block than it shows": offer(block_hash=bytes(32)),
    "a height without its header": on(LightBlockRequest, refuse),
    "no light block": on(LightBlockRequest, lambda scene, message, reply: LightBlockReply(b"\x90")),
    "a signature that is none": certify(spoil_signature),
    "exactly two thirds": certify(lambda scene, one: replace(one, signatures=one.signatures[:4])),
    "two thirds, padded with votes for nil": certify(sign_nil),
    "no certificate": show(lambda scene, block: replace(block, certificate=None)),
    "the certificate of another block": show(
        lambda scene, block: replace(block, certificate=scene.chain.committed[0].certificate)
    ),
    "another time in the header": show(
        lambda scene, block: replace(block, header=replace(block.header, time_ms=block.header.time_ms + 1))
    ),
    "another state in the header": show(
        lambda scene, block: replace(block, header=replace(block.header, state_root=bytes(32)))
    ),
    "a chain of its own validators": show(invent),
    "another manifest than it offers": on(
        SnapshotManifestRequest, lambda scene, message, reply: SnapshotManifest(b"another")
    ),
    "a manifest that leads elsewhere": cut_manifest(spoil_slot),
    "a manifest of another height": cut_manifest(lambda manifest: replace(manifest, height=HEIGHT + 1)),
    "a manifest that is none": cut_manifest(lambda manifest: replace(manifest, starts=(5,))),
    "a value changed": send_part(change_value),
    "a part cut short": send_part(lambda scene, message, part: part[:-3]),
    "a part with a pair less": send_part(
        lambda scene, message, part: encode(Part(decode(Part, part).pairs[1:]))
    ),
    "an empty part": send_part(lambda scene, message, part: encode(Part(()))),
    "always the first part": send_part(
        lambda scene, message, part: (scene.chain.files.get_part(HEIGHT, 0) or b"") + bytes(message.part == 0)
    ),
}


def build_block(scene: Scene, height: Height) -> bytes:
    ledger = scene.chain.ledger
    header = ledger.get_header(height)
    assert header is not None
    roster = ledger.get_roster(header.validators_hash)
    assert roster is not None
    return encode(LightBlock(header, ledger.get_certificate(height), roster))


def build_future(scene: Scene, message: SnapshotRequest) -> bytes:
    """What `invent` makes of the newest header, under whatever height is asked for."""
    assert isinstance(message, LightBlockRequest)
    block = decode(LightBlock, build_block(scene, HEIGHT))
    return encode(invent(scene, replace(block, header=replace(block.header, height=message.height))))


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
async def test_who_lies_is_banned_and_the_honest_finish(scene: Scene, lie: Change) -> None:
    """Whatever the liar got in by then; nobody else is charged with it."""
    async with scene.join(1, lie) as liar, trio.open_nursery() as nursery:
        nursery.start_soon(scene.finish)
        await wait_until(lambda: scene.is_banned(liar))
        async with scene.join(2), scene.join(3):
            await wait_until(lambda: Staging(scene.store).is_whole)
            assert scene.is_banned(liar)
    scene.check_ledger()


async def test_liars_together_do_not_keep_the_honest_out(scene: Scene) -> None:
    """Five of them say the same, one honest peer another thing: all five go, and the sync ends."""
    lie = both(offer(height=10**9), on(LightBlockRequest, lambda scene, message, reply: reply))
    async with AsyncExitStack() as stack:
        liars = [await stack.enter_async_context(scene.join(number, lie)) for number in range(1, 6)]
        await stack.enter_async_context(scene.join(6))
        assert await scene.finish() == HEIGHT
        assert sorted(ban.peer for ban in scene.network.bans()) == sorted(liars)
    scene.check_ledger()


async def test_all_who_offered_a_manifest_that_is_wrong_are_charged(scene: Scene) -> None:
    """Its hash is in the offer, so each of them said what is not so, whoever was asked for it."""
    lie = cut_manifest(spoil_slot)
    async with scene.join(1, lie) as first, scene.join(2, lie) as second, scene.join(3):
        assert await scene.finish() == HEIGHT
        assert sorted(ban.peer for ban in scene.network.bans()) == sorted((first, second))


STALLS: dict[str, type[Record]] = {
    "offers": SnapshotsRequest,
    "light blocks": LightBlockRequest,
    "manifests": SnapshotManifestRequest,
    "parts": SnapshotPartRequest,
}


@pytest.mark.parametrize("kind", STALLS.values(), ids=STALLS.keys())
async def test_who_stalls_is_passed_over_and_not_banned(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, kind: type[Record]
) -> None:
    """One deadline is all that it costs, also where the one who stalls is chosen first."""
    for module, name in (
        (sources, "OFFER_SECONDS_MAX"),
        (sources, "LATE_OFFER_SECONDS"),
        (trust, "BLOCK_SECONDS_MAX"),
        (run, "MANIFEST_SECONDS_MAX"),
        (fetching, "PART_SECONDS_MAX"),
    ):
        monkeypatch.setattr(module, name, 0.05)
    async with scene.join(1, on(kind, lambda scene, message, reply: Silence())):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.finish)
            await wait_until(lambda: any(isinstance(message, kind) for message in scene.asked))
            async with scene.join(2):
                await wait_until(lambda: Staging(scene.store).is_whole)
        assert scene.network.bans() == ()
    scene.check_ledger()


async def test_the_last_part_is_asked_of_another_when_the_first_stalls(scene: Scene) -> None:
    """With the real deadlines: a peer that never answers does not hold up the end."""
    stalling = on(SnapshotPartRequest, lambda scene, message, reply: Silence())
    async with scene.join(1, stalling), scene.join(2):
        with trio.fail_after(fetching.PART_SECONDS_MAX / 2):
            assert await scene.sync.run() == HEIGHT
    scene.check_ledger()


# Going on, and what is not there.


async def test_it_goes_on_where_it_was(scene: Scene) -> None:
    """Parts that are in stay in over a restart, and are not asked for again."""
    taken: list[int] = []

    def run_dry(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        if isinstance(message, SnapshotPartRequest):
            if len(taken) == 3:
                return Silence()
            taken.append(message.part)
        return reply

    async with scene.join(1, run_dry), trio.open_nursery() as nursery:
        nursery.start_soon(scene.sync.run)
        manifest = decode(Manifest, scene.chain.files.get_manifest(HEIGHT) or b"")
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
    """What came of it goes, and the node begins with one that is there."""
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
    """A liar's own cut of the true state holds, and yet nobody else has its parts."""
    monkeypatch.setattr(fetching, "PATIENCE_SECONDS", 0.2)
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
    """As in a network that is younger than an epoch."""
    async with scene.join(1, on(SnapshotsRequest, lambda scene, message, reply: Snapshots(()))):
        assert await scene.finish() is None
    assert not Staging(scene.store).is_whole


async def test_a_peer_that_began_above_a_header_is_no_liar(scene: Scene) -> None:
    """Only the header of what it offers can not be lacking."""

    def lack(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        assert isinstance(message, LightBlockRequest)
        return reply if message.height >= HEIGHT else Refused(RefusalCode.NOT_FOUND)

    async with scene.join(1, on(LightBlockRequest, lack)):
        assert await scene.finish() == HEIGHT
    assert scene.network.bans() == ()


# What is trusted.


async def test_old_trust_is_refused(chain: Chain) -> None:
    """Who signed genesis may have taken their stake: the operator has to name a later block."""
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
    """Nobody is banned for it, for it may be the operator who is wrong."""
    async with Scene(chain, anchor=Anchor(7, bytes(32))).open() as scene, scene.join(1), scene.join(2):
        with pytest.raises(UnknownAnchor):
            await scene.finish()
        assert scene.network.bans() == ()


async def test_one_peer_with_another_block_than_the_operators_is_passed_over(chain: Chain) -> None:
    """The others have it."""
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
    """Anything else is refused before a peer is asked."""
    assert state_sync.parse_anchor("12:" + "ab" * 32) == Anchor(12, b"\xab" * 32)
    for text in ("", "12", "12:", ":" + "ab" * 32, "x:" + "ab" * 32, "12:" + "xy" * 32, "-1:" + "ab" * 32):
        with pytest.raises(ValueError):
            state_sync.parse_anchor(text)
