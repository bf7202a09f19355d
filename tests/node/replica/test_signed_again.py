"""An equivocator cannot hide its second message from gossip, however often it signs the first one.

Ed25519 has many valid signatures of one message by its key's owner (RFC 8032 derives one of them).
"""

import pytest

from chain.primitives.codec import replace
from chain.votes import SignedVote, get_proposal_signing_bytes, get_vote_signing_bytes
from node.replica.gossip import build_compact
from p2p.wire.messages import CompactProposal, Votes
from tests.node.cluster import Person
from tests.node.forge import ALICE
from tests.node.replica.gossip_scene import PREVOTE, SEND, Scene
from tests.sim.adversary.resigning import sign_with_nonce

COPIES = 3


@pytest.fixture
def scene() -> Scene:
    """The node without peers."""
    return Scene()


def sign_again(person: Person, message: bytes) -> list[bytes]:
    """COPIES valid signatures of a message by the person's consensus key."""
    key = person.keys.consensus
    return [sign_with_nonce(bytes(key._key), key.public_key, message, 1 + number) for number in range(COPIES)]


def build_proposals(scene: Scene, count: int) -> list[CompactProposal]:
    """Proposals of different blocks for round 0, by its proposer."""
    results = [scene.forge.build((scene.forge.sign(ALICE, SEND, tip=tip),)) for tip in range(count)]
    proposer = scene.forge.get_proposer()
    return [build_compact(scene.forge.propose(proposer, one.block_hash), one.block) for one in results]


def test_an_equivocator_that_signs_its_votes_again_is_reported(scene: Scene) -> None:
    """One peer sends a vote in several signatures, another one the conflicting vote in several."""
    culprit = scene.forge.people[0]
    for number, value in enumerate((None, b"x" * 32), start=1):
        vote = scene.forge.vote(culprit, PREVOTE, value).vote
        signatures = sign_again(culprit, get_vote_signing_bytes(scene.forge.genesis_hash, vote))
        peer = scene.join(number)
        peer.say(Votes(tuple(SignedVote(vote, signature) for signature in signatures)))
        assert peer.score == 100
    assert len(scene.reported) == 1


def test_an_equivocator_that_signs_its_proposals_again_is_reported(scene: Scene) -> None:
    """One peer sends a proposal in several signatures, another one the conflicting proposal in several."""
    proposer = scene.forge.get_proposer()
    for number, compact in enumerate(build_proposals(scene, 2), start=1):
        message = get_proposal_signing_bytes(scene.forge.genesis_hash, compact.signed.proposal)
        peer = scene.join(number)
        for signature in sign_again(proposer, message):
            peer.say(replace(compact, signed=replace(compact.signed, signature=signature)))
        assert peer.score == 100
    assert len(scene.reported) == 1


def test_copies_of_a_proposal_are_one_assembly(scene: Scene) -> None:
    """A peer that announces the same block under another signature is one more source of its transactions."""
    [compact] = build_proposals(scene, 1)
    message = get_proposal_signing_bytes(scene.forge.genesis_hash, compact.signed.proposal)
    for number, signature in enumerate(sign_again(scene.forge.get_proposer(), message), start=1):
        scene.join(number).say(replace(compact, signed=replace(compact.signed, signature=signature)))
    [assembly] = scene.gossip._assemblies.values()
    assert len(assembly.sources) == COPIES


def test_two_proposals_are_evidence_without_their_blocks(scene: Scene) -> None:
    """A proposer that keeps the bodies back is reported as soon as two signed proposals are here."""
    peer = scene.join(1)
    peer.say(*build_proposals(scene, 3))
    assert scene.replica.core.proposals == {}
    assert len(scene.reported) == 1
