"""Block sync between ledgers over the in-memory network: from the honest, and past every kind of liar."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio

from chain.block import Block
from chain.modules import balances
from chain.primitives.codec import decode, encode, replace
from chain.primitives.keys import is_signed_by
from chain.primitives.types import PeerId
from chain.runtime import BlockResult
from chain.votes import CommitCertificate
from node import sync
from node.lane import Lane
from node.ledger import Ledger
from node.sync import BATCH_BLOCKS, Sync
from p2p.errors import PeerGone
from p2p.memory import MemoryHub
from p2p.messages import (
    Blocks,
    BlocksRequest,
    FinalBlock,
    Headers,
    HeadersRequest,
    Status,
    StatusRequest,
    SyncReply,
    SyncRequest,
)
from p2p.protocols import SYNC
from p2p.requests import build_answerer, open_stream, request, send_message
from p2p.switch import Switch
from storage.kv import MemoryStore
from tests.node.forge import ALICE, BOB, Forge

Answer = Callable[[SyncRequest], SyncReply]
HEIGHT = 6


@pytest.fixture(scope="module")
def chain() -> tuple[Forge, list[FinalBlock]]:
    """An honest chain, made once."""
    forge = Forge()
    first = forge.grow(2)
    sent = forge.commit(forge.build([forge.sign(ALICE, balances.Send(BOB.address, 7))]))
    return forge, [*first, FinalBlock(encode(sent.block), sent.certificate), *forge.grow(HEIGHT - 3)]


@dataclass
class Scene:
    """A node that is behind, and its peers."""

    forge: Forge
    blocks: list[FinalBlock]
    hub: MemoryHub = field(default_factory=MemoryHub)

    def __post_init__(self) -> None:
        self.ledger = Ledger(MemoryStore(), self.forge.spec)
        self.network: Switch
        self.sync: Sync

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Scene"]:
        """The node under test, with its network."""
        async with self.hub.open_network(b"n" * 32, self.ledger.genesis_hash) as self.network:
            lane = Lane()

            async def commit(result: BlockResult, certificate: CommitCertificate) -> None:
                await lane.run(lambda: self.ledger.commit(result, certificate))

            self.sync = Sync(self.network, self.ledger, lane, is_signed_by, commit)
            yield self

    @asynccontextmanager
    async def join(self, number: int, answer: Answer | None = None) -> AsyncIterator[PeerId]:
        """A peer that answers so; an honest one by default."""
        seed = bytes((number,)) * 32
        async with self.hub.open_network(seed, self.ledger.genesis_hash) as network:
            if answer is None:
                Sync(network, self.forge.ledger, Lane(), is_signed_by, refuse_commit)
            else:
                network.serve(SYNC, build_answerer(SyncRequest, hold(answer), 8))
            peer = await self.network.connect(network.addresses[0])
            self.sync.peers.add(peer)
            yield peer
            self.sync.peers.discard(peer)

    def answer(self, message: SyncRequest, height: int = HEIGHT) -> SyncReply:
        """What an honest peer at that height would say."""
        if isinstance(message, StatusRequest):
            return Status(height, bytes(32), 0)
        assert isinstance(message, BlocksRequest)
        return Blocks(
            message.start, tuple(self.blocks[message.start - 1 : message.start - 1 + message.count])
        )


async def refuse_commit(result: BlockResult, certificate: CommitCertificate) -> None:
    """An honest peer has nothing to learn here."""
    raise AssertionError


def hold(answer: Answer) -> Callable[[PeerId, SyncRequest], Awaitable[SyncReply]]:
    """As build_answerer wants it."""

    async def reply(peer: PeerId, message: SyncRequest) -> SyncReply:
        return answer(message)

    return reply


@pytest.fixture
async def scene(chain: tuple[Forge, list[FinalBlock]]) -> AsyncIterator[Scene]:
    """A node at genesis without peers."""
    async with Scene(*chain).open() as opened:
        yield opened


async def test_an_honest_peer_is_enough(scene: Scene) -> None:
    """All blocks are executed and final, with state and certificates as on the other."""
    async with scene.join(1):
        await scene.sync.catch_up()
    assert scene.ledger.head_hash == scene.forge.ledger.head_hash
    assert scene.ledger.get_free(BOB.address) == scene.forge.ledger.get_free(BOB.address)
    assert scene.ledger.get_certificate(HEIGHT) == scene.forge.ledger.get_certificate(HEIGHT)
    assert not scene.sync.is_syncing
    assert scene.network.bans() == ()


Change = Callable[[Scene, BlocksRequest, Blocks], Blocks]


def change_first(change: Callable[[Scene, FinalBlock], FinalBlock]) -> Change:
    """A lie about the first block of a reply."""

    def apply(scene: Scene, message: BlocksRequest, reply: Blocks) -> Blocks:
        return replace(reply, blocks=(change(scene, reply.blocks[0]), *reply.blocks[1:]))

    return apply


def change_block(change: Callable[[Block], Block]) -> Change:
    """A lie about the content of the block with the transaction."""

    def apply(scene: Scene, final: FinalBlock) -> FinalBlock:
        return replace(final, block=encode(change(decode(Block, final.block))))

    return change_third(apply)


def change_third(change: Callable[[Scene, FinalBlock], FinalBlock]) -> Change:
    """A lie about height 3, whenever it is asked for."""

    def apply(scene: Scene, message: BlocksRequest, reply: Blocks) -> Blocks:
        blocks = list(reply.blocks)
        for place, final in enumerate(reply.blocks):
            if final.certificate.height == 3:
                blocks[place] = change(scene, final)
        return replace(reply, blocks=tuple(blocks))

    return apply


def sign_by(numbers: slice) -> Change:
    """A certificate of some validators only."""

    def apply(scene: Scene, final: FinalBlock) -> FinalBlock:
        signatures = final.certificate.signatures[numbers]
        return replace(final, certificate=replace(final.certificate, signatures=signatures))

    return change_first(apply)


def spoil_signature(scene: Scene, final: FinalBlock) -> FinalBlock:
    last = replace(final.certificate.signatures[-1], signature=bytes(64))
    signatures = (*final.certificate.signatures[:-1], last)
    return replace(final, certificate=replace(final.certificate, signatures=signatures))


def certify_other(scene: Scene, final: FinalBlock) -> FinalBlock:
    """A good certificate, which is of another block."""
    return replace(final, certificate=scene.blocks[final.certificate.height % HEIGHT].certificate)


LIES: dict[str, Change] = {
    "nothing": lambda scene, message, reply: Blocks(message.start, ()),
    "another start": lambda scene, message, reply: Blocks(message.start + 1, reply.blocks),
    "a gap": lambda scene, message, reply: Blocks(message.start, reply.blocks[1:]),
    "the wrong way round": lambda scene, message, reply: Blocks(message.start, reply.blocks[::-1]),
    "the first one only, again and again": lambda scene, message, reply: replace(
        reply, blocks=(scene.blocks[0],)
    ),
    "no block": change_first(lambda scene, final: replace(final, block=b"\x90")),
    "a signature too bad": change_first(spoil_signature),
    "exactly two thirds": sign_by(slice(2)),
    "nobody's certificate": sign_by(slice(0)),
    "the certificate of another block": change_first(certify_other),
    "a block without its transactions": change_block(lambda block: replace(block, transactions=())),
    "a block with another reveal": change_block(
        lambda block: replace(block, inherents=replace(block.inherents, beacon_reveal=bytes(32)))
    ),
    "a header of its own making": change_block(
        lambda block: replace(block, header=replace(block.header, time_ms=block.header.time_ms + 1))
    ),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
async def test_who_sends_what_is_not_final_is_banned_and_the_others_finish(scene: Scene, lie: Change) -> None:
    """Whoever is asked first; a body forged by the liar does not spoil the honest one's block."""

    def answer(message: SyncRequest) -> SyncReply:
        reply = scene.answer(message)
        return lie(scene, message, reply) if isinstance(reply, Blocks) else reply

    async with scene.join(1, answer) as liar:
        await scene.sync.catch_up()
        assert scene.ledger.height < HEIGHT
        assert [ban.peer for ban in scene.network.bans()] == [liar]
        async with scene.join(2):
            await scene.sync.catch_up()
    assert scene.ledger.head_hash == scene.forge.ledger.head_hash
    assert len(scene.network.bans()) == 1


async def test_three_validators_of_four_are_a_quorum(scene: Scene) -> None:
    """More than two thirds is enough, and who sends it is no liar."""

    def answer(message: SyncRequest) -> SyncReply:
        reply = scene.answer(message)
        return sign_by(slice(3))(scene, message, reply) if isinstance(reply, Blocks) else reply  # type: ignore[arg-type]

    async with scene.join(1, answer):
        await scene.sync.catch_up()
    assert scene.ledger.head_hash == scene.forge.ledger.head_hash
    assert scene.network.bans() == ()


async def test_a_height_that_nobody_has_costs_its_claimant(scene: Scene) -> None:
    """It may even deliver all there is: what is claimed beyond has to come too."""
    async with scene.join(1, lambda message: scene.answer(message, height=10**9)) as liar, scene.join(2):
        await scene.sync.catch_up()
        assert scene.ledger.height == HEIGHT
        assert [ban.peer for ban in scene.network.bans()] == [liar]


async def test_a_claim_alone_interrupts_nothing(scene: Scene) -> None:
    """A node that takes part looks into it: the claimant must show the next block, final."""
    scene.sync.is_syncing = False
    async with scene.join(1, lambda message: scene.answer(message, height=0)):
        assert not await scene.sync.is_behind()

    def claim(message: SyncRequest) -> SyncReply:
        return scene.answer(message) if isinstance(message, StatusRequest) else Blocks(1, ())

    async with scene.join(2, claim) as liar:
        assert not await scene.sync.is_behind()
        assert [ban.peer for ban in scene.network.bans()] == [liar]
    async with scene.join(3):
        assert await scene.sync.is_behind()
    assert scene.ledger.height == 0


async def test_one_block_ahead_is_no_reason_to_sync(scene: Scene) -> None:
    """Consensus gets a single block by itself."""
    scene.sync.is_syncing = False
    async with scene.join(1, lambda message: scene.answer(message, height=1)):
        assert not await scene.sync.is_behind()
    async with scene.join(2, lambda message: scene.answer(message, height=2)):
        assert await scene.sync.is_behind()


@pytest.mark.parametrize(("seconds", "asked_again"), [(sync.LIE_SECONDS, 0), (-1.0, 2)])
async def test_who_was_caught_is_not_believed_for_a_while(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, seconds: float, asked_again: int
) -> None:
    """Also if it can not be banned because it is a validator: until the time is over it is not even asked."""
    monkeypatch.setattr(sync, "LIE_SECONDS", seconds)
    monkeypatch.setattr(scene.network, "blame", lambda peer, fault: None)
    asked: list[SyncRequest] = []

    def answer(message: SyncRequest) -> SyncReply:
        asked.append(message)
        return Status(HEIGHT, bytes(32), 0) if isinstance(message, StatusRequest) else Blocks(9, ())

    async with scene.join(1, answer):
        scene.sync.is_syncing = False
        assert not await scene.sync.is_behind()
        assert len(asked) == 2
        assert not await scene.sync.is_behind()
        assert len(asked) == 2 + asked_again


async def test_who_is_slow_is_passed_over_and_not_banned(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One deadline is all that a peer which never answers can cost."""

    async def stall(peer: PeerId, message: SyncRequest) -> SyncReply:
        if isinstance(message, StatusRequest):
            return scene.answer(message)
        await trio.sleep_forever()
        raise AssertionError

    async with scene.join(1, scene.answer) as slow:
        scene.hub._nodes[slow][0].serve(SYNC, build_answerer(SyncRequest, stall, 8))
        with monkeypatch.context() as changed:
            changed.setattr(sync, "BLOCKS_SECONDS_MAX", 0.05)
            await scene.sync.catch_up()
        assert scene.ledger.height == 0
        async with scene.join(2):
            await scene.sync.catch_up()
    assert scene.ledger.height == HEIGHT
    assert scene.network.bans() == ()


async def test_a_peer_that_pruned_what_is_needed_is_no_liar(scene: Scene) -> None:
    """It says how far back it goes, and is not asked."""
    async with scene.join(1, lambda message: Status(HEIGHT, bytes(32), 4)):
        await scene.sync.catch_up()
    assert scene.ledger.height == 0
    assert scene.network.bans() == ()


async def test_answers_are_bounded_and_end_at_the_head(scene: Scene) -> None:
    """From any start, at most what was asked for and what there is."""
    async with scene.join(1) as peer:

        async def ask(start: int, count: int) -> list[int]:
            message = BlocksRequest(start, count)
            reply = await request(scene.network, peer, SYNC, message, Blocks, 5)
            return [final.certificate.height for final in reply.blocks]

        assert await ask(1, BATCH_BLOCKS) == [1, 2, 3, 4, 5, 6]
        assert await ask(3, 2) == [3, 4]
        assert await ask(0, 3) == [1, 2]
        assert await ask(HEIGHT + 1, 5) == []
        assert await ask(2**62, 5) == []
        headers = await request(scene.network, peer, SYNC, HeadersRequest(5, 9), Headers, 5)
        assert [final.certificate.height for final in headers.headers] == [5, 6]
        status = await request(scene.network, peer, SYNC, StatusRequest(), Status, 5)
        assert status == Status(HEIGHT, scene.forge.ledger.head_hash, 0)


async def test_an_answer_is_no_request(scene: Scene) -> None:
    """Who sends one where a request belongs broke the protocol; the node goes on serving others."""
    async with scene.join(1) as peer, open_stream(scene.network, peer, SYNC) as stream:
        await send_message(stream, Status(1, bytes(32), 0))
        with pytest.raises(PeerGone):
            await stream.receive()
        status = await request(scene.network, peer, SYNC, StatusRequest(), Status, 5)
        assert status.height == HEIGHT
        assert scene.hub._nodes[peer][0].scores.get_score(scene.network.peer_id) < 100
