"""What a peer may make consensus gossip do: requests by number, answers by bytes."""

import pytest

from chain.primitives.codec import encode
from consensus.catchup import VoteSummary
from consensus.types import Step
from node.replica import gossip
from node.replica.gossip import FLOOD_POINTS, REQUESTS_BURST, REQUESTS_PER_SECOND, build_compact
from p2p.wire.messages import (
    BlockTransactionsWanted,
    BlockWanted,
    CompactProposal,
    ConsensusMessage,
    Summary,
)
from tests.node.forge import ALICE
from tests.node.replica.gossip_scene import SEND, Scene


@pytest.fixture
def scene() -> Scene:
    """A node without peers."""
    return Scene()


def test_requests_above_the_rate_cost_and_are_not_answered(scene: Scene) -> None:
    """A peer may ask so often at once and no more; an honest rate never runs out."""
    asked: tuple[ConsensusMessage, ...] = (
        Summary(encode(VoteSummary(1, 0, Step.PROPOSE, ()))),
        BlockWanted(1, bytes(32)),
        BlockTransactionsWanted(bytes(32), (bytes(32),)),
    )
    for number, message in enumerate(asked, start=1):
        eager = scene.join(number)
        eager.say(*[message] * REQUESTS_BURST)
        assert eager.score == 100
        eager.say(message)
        assert eager.score == 100 - FLOOD_POINTS
        scene.world.advance(1_000)
        eager.say(*[message] * REQUESTS_PER_SECOND)
        assert eager.score == 100 - FLOOD_POINTS


def test_a_proposal_for_a_summary_is_charged(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same proposal is sent again and again only up to the bytes that a peer may draw."""
    signed = scene.forge.sign(ALICE, SEND)
    scene.wait_in_pool(signed)
    result = scene.forge.build((signed,))
    proposal = scene.forge.propose(scene.forge.get_proposer(), result.block_hash)
    scene.join(1).say(build_compact(proposal, result.block))
    scene.world.wait_until(lambda: bool(scene.replica.core.proposals.get(0)))
    monkeypatch.setattr(gossip, "BODIES_BURST_BYTES", 100)
    monkeypatch.setattr(gossip, "BODIES_BYTES_PER_SECOND", 1)
    greedy = scene.join(2)
    for _ in range(10):
        greedy.say(Summary(encode(VoteSummary(1, 0, Step.PROPOSE, ()))))
    assert len(greedy.list_heard(CompactProposal)) == 3
