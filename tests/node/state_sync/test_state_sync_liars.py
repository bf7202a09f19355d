"""State sync with every kind of liar, and with peers that stall."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import cache
from typing import Any

import pytest
import trio

from chain.block import compute_header_hash
from chain.light import LightBlock
from chain.primitives.codec import Record, decode, encode, replace
from chain.primitives.keys import KeyPair
from chain.primitives.types import Height
from chain.snapshot import Part, SnapshotManifest
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
from node.state_sync import fetching, run, sources, trust
from p2p.errors import RefusalCode, Refused
from p2p.wire.messages import (
    LightBlockReply,
    LightBlockRequest,
    SnapshotManifestReply,
    SnapshotManifestRequest,
    SnapshotPartReply,
    SnapshotPartRequest,
    SnapshotRequest,
    SnapshotsRequest,
)
from storage.snapshots import Staging
from tests.node.forge import wait_until
from tests.node.state_sync.scene import (
    HEIGHT,
    Answer,
    Change,
    Scene,
    Silence,
    cut_manifest,
    offer,
    on,
)

# Liars.


def show(change: Callable[[Scene, LightBlock], LightBlock]) -> Change:
    """Changes the light block."""

    def lie(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        assert isinstance(reply, LightBlockReply)
        return LightBlockReply(encode(change(scene, decode(LightBlock, reply.block))))

    return on(LightBlockRequest, lie)


def certify(change: Callable[[Scene, CommitCertificate], CommitCertificate]) -> Change:
    """Changes the certificate."""
    return show(lambda scene, block: replace(block, certificate=change(scene, block.certificate)))


def sign_nil(scene: Scene, certificate: CommitCertificate) -> CommitCertificate:
    """Exactly two thirds for the block, filled up with good precommits of the others for nil."""
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


def spoil_slot(manifest: SnapshotManifest) -> SnapshotManifest:
    place = next(place for place, slot in enumerate(manifest.slots) if len(slot) == 32)
    slots = list(manifest.slots)
    slots[place] = bytes(32)
    return replace(manifest, slots=tuple(slots))


def send_part(change: Callable[[Scene, SnapshotPartRequest, bytes], bytes]) -> Change:
    """Another part than the requested one."""

    def lie(scene: Scene, message: SnapshotRequest, reply: Any) -> Answer:
        assert isinstance(reply, SnapshotPartReply)
        assert isinstance(message, SnapshotPartRequest)
        return SnapshotPartReply(change(scene, message, reply.part))

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
    "an invalid signature": certify(spoil_signature),
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
        SnapshotManifestRequest, lambda scene, message, reply: SnapshotManifestReply(b"another")
    ),
    "a manifest that leads elsewhere": cut_manifest(spoil_slot),
    "a manifest of another height": cut_manifest(lambda manifest: replace(manifest, height=HEIGHT + 1)),
    "an invalid manifest": cut_manifest(lambda manifest: replace(manifest, starts=(5,))),
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
    """The header that `invent` makes of the newest one, under any requested height."""
    assert isinstance(message, LightBlockRequest)
    block = decode(LightBlock, build_block(scene, HEIGHT))
    return encode(invent(scene, replace(block, header=replace(block.header, height=message.height))))


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
async def test_who_lies_is_banned_and_the_honest_finish(scene: Scene, lie: Change) -> None:
    """A liar is banned, whatever parts it delivered before; no other peer is charged."""
    async with scene.join(1, lie) as liar, trio.open_nursery() as nursery:
        nursery.start_soon(scene.finish)
        await wait_until(lambda: scene.is_banned(liar))
        async with scene.join(2), scene.join(3):
            await wait_until(lambda: Staging(scene.store).is_whole)
            assert scene.is_banned(liar)
    scene.check_ledger()


async def test_liars_together_do_not_keep_the_honest_out(scene: Scene) -> None:
    """Five liars agree on one offer against one honest peer: all five are banned, and the sync ends."""
    lie = both(offer(height=10**9), on(LightBlockRequest, lambda scene, message, reply: reply))
    async with AsyncExitStack() as stack:
        liars = [await stack.enter_async_context(scene.join(number, lie)) for number in range(1, 6)]
        await stack.enter_async_context(scene.join(6))
        assert await scene.finish() == HEIGHT
        assert sorted(ban.peer for ban in scene.network.bans()) == sorted(liars)
    scene.check_ledger()


async def test_all_who_offered_a_manifest_that_is_wrong_are_charged(scene: Scene) -> None:
    """The hash of a false manifest is in the offer, so every peer that offered it lied."""
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
    """A peer that stalls costs one deadline at most, even if it is asked first."""
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
    """With the real deadlines a silent peer does not hold up the end."""
    stalling = on(SnapshotPartRequest, lambda scene, message, reply: Silence())
    async with scene.join(1, stalling), scene.join(2):
        with trio.fail_after(fetching.PART_SECONDS_MAX / 2):
            assert await scene.sync.run() == HEIGHT
    scene.check_ledger()
