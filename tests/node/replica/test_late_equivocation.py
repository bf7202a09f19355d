"""An equivocation that is shown after its height was decided is found, up to a bound of heights."""

import pytest

from chain.votes import DuplicateProposal, DuplicateVote
from node.replica.gossip import build_compact
from node.replica.past_cores import LATE_HEIGHTS_MAX
from p2p.wire.messages import Votes
from tests.node.forge import ALICE, Forge
from tests.node.replica.gossip_scene import PRECOMMIT, PREVOTE, SEND, Peer, Scene
from tests.node.validator_rig import Rig

BOUND = [(1, True), (2, True), (LATE_HEIGHTS_MAX, True), (LATE_HEIGHTS_MAX + 1, False)]
"""How many heights late, and whether it is found."""


@pytest.fixture
def scene() -> Scene:
    """A node that observes."""
    return Scene()


def decide_next(scene: Scene, peer: Peer) -> None:
    """The next height is decided, with its proposal and all votes."""
    forge = scene.forge
    result = forge.build()
    proposal = forge.propose(forge.get_proposer(), result.block_hash)
    peer.say(build_compact(proposal, result.block))
    for kind in (PREVOTE, PRECOMMIT):
        peer.say(Votes(tuple(forge.vote(one, kind, result.block_hash) for one in forge.people)))
    forge.commit(result)
    scene.world.wait_until(lambda: scene.replica.core.height == forge.ledger.height + 1)


@pytest.mark.parametrize(("late", "is_found"), BOUND)
def test_a_late_vote_that_conflicts_is_reported(scene: Scene, late: int, is_found: bool) -> None:
    """A precommit that conflicts with a counted one is evidence LATE_HEIGHTS_MAX heights later, not after."""
    peer = scene.join(1)
    vote = scene.forge.vote(scene.forge.people[0], PRECOMMIT, b"x" * 32)
    for _ in range(late):
        decide_next(scene, peer)
    peer.say(Votes((vote,)), Votes((vote,)))
    assert [type(one) for one in scene.reported] == [DuplicateVote] * is_found
    assert peer.score == 100


@pytest.mark.parametrize(("late", "is_found"), BOUND)
def test_a_late_proposal_that_conflicts_is_reported(scene: Scene, late: int, is_found: bool) -> None:
    """The same holds for a second proposal of a round, whose block is not needed; it is reported once."""
    peer = scene.join(1)
    blocks = [scene.forge.build((scene.forge.sign(ALICE, SEND, tip=tip),)) for tip in range(2)]
    proposer = scene.forge.get_proposer()
    compacts = [build_compact(scene.forge.propose(proposer, one.block_hash), one.block) for one in blocks]
    for _ in range(late):
        decide_next(scene, peer)
    peer.say(*compacts)
    assert [type(one) for one in scene.reported] == [DuplicateProposal] * is_found
    assert peer.score == 100


def test_a_synced_certificate_convicts_who_voted_otherwise_here() -> None:
    """A node cut off with the one vote finds the other one in the certificate that a sync brings."""
    forge = Forge(4)
    rig, result = Rig(forge, 1), forge.build()
    culprit = forge.people[0]
    vote = forge.vote(culprit, PRECOMMIT, None)
    certificate = forge.certify(result.block_hash)

    def look(rig: Rig) -> None:
        rig.wait_for_start()
        rig.receive(vote)
        rig.world.settle()
        rig.sync.waiting.append((rig.replica.ledger.execute(result.block), certificate))
        rig.sync.answers.append(True)
        rig.replica.note_behind()
        rig.wait_for_height(1)
        rig.world.settle()
        [evidence] = rig.reported
        assert isinstance(evidence, DuplicateVote) and evidence.first.vote.validator == culprit.address

    assert rig.run(look)
