"""The candidates of a height are bounded, and the bodies that consensus may still need are never dropped."""

from collections.abc import Sequence

from chain.primitives.types import Hash
from chain.runtime import BlockResult
from chain.votes import VoteKind
from consensus.types import TimeoutKind
from node.replica.replica import CANDIDATES_MAX
from tests.node.cluster import Person
from tests.node.forge import Forge
from tests.node.validator_rig import PRECOMMIT, PREVOTE, Rig


def build_rig() -> Rig:
    """A validator that proposes in none of the first two rounds."""
    forge = Forge(4)
    proposers = (forge.get_proposer(0), forge.get_proposer(1))
    return Rig(forge, next(number for number, one in enumerate(forge.people) if one not in proposers))


def propose(rig: Rig, result: BlockResult, round: int = 0) -> None:
    """The proposer of the round proposes the block, and it is executed."""
    proposer = rig.forge.get_proposer(round)
    rig.receive_proposal(rig.forge.propose(proposer, result.block_hash, round), result.block)
    rig.world.settle()


def receive_votes(
    rig: Rig, kind: VoteKind, block_hash: Hash | None, round: int, voters: Sequence[Person]
) -> None:
    """Votes of these validators arrive."""
    rig.receive(*(rig.forge.vote(one, kind, block_hash, round) for one in voters))
    rig.world.settle()


def flood(rig: Rig) -> None:
    """More blocks of the height than are kept."""
    for number in range(2 * CANDIDATES_MAX):
        propose(rig, rig.forge.build(gap_ms=100 + number))
    assert len(rig.replica.candidates) <= CANDIDATES_MAX


def test_the_bodies_of_locked_and_valid_block_are_never_dropped() -> None:
    """Both outlive a flood of other candidates, also where the valid block is newer than the locked one."""
    rig = build_rig()
    locked, valid = rig.forge.build(), rig.forge.build(by=rig.forge.get_proposer(1), gap_ms=77)
    others = [one for one in rig.forge.people if one != rig.person]

    def look(rig: Rig) -> None:
        rig.wait_for_start()
        core = rig.replica.core
        propose(rig, locked)
        receive_votes(rig, PREVOTE, locked.block_hash, 0, others)
        flood(rig)
        assert core.locked_hash == locked.block_hash in rig.replica.candidates
        receive_votes(rig, PRECOMMIT, None, 0, others)
        rig.elapse(TimeoutKind.PRECOMMIT)
        rig.world.settle()
        # The polka comes after the precommit for nil: the block is valid, and the lock stays (L42).
        propose(rig, valid, 1)
        receive_votes(rig, PREVOTE, valid.block_hash, 1, others[:2])
        rig.elapse(TimeoutKind.PREVOTE, 1)
        rig.world.settle()
        receive_votes(rig, PREVOTE, valid.block_hash, 1, others[2:])
        flood(rig)
        assert core.locked_hash == locked.block_hash in rig.replica.candidates
        assert core.valid_hash == valid.block_hash in rig.replica.candidates

    assert rig.run(look)


def test_the_body_of_a_block_with_a_precommit_quorum_is_never_dropped() -> None:
    """A block that is about to be decided outlives a flood of other candidates."""
    rig = build_rig()
    decided, others = rig.forge.build(), [one for one in rig.forge.people if one != rig.person]

    def look(rig: Rig) -> None:
        rig.wait_for_start()
        rig.world.is_lane_open = False
        propose(rig, decided)
        receive_votes(rig, PRECOMMIT, decided.block_hash, 0, others)
        for number in range(2 * CANDIDATES_MAX):
            propose(rig, rig.forge.build(gap_ms=100 + number))
        assert decided.block_hash in rig.replica.candidates
        rig.world.is_lane_open = True
        rig.wait_for_height(1)
        assert rig.replica.ledger.head_hash == decided.block_hash

    assert rig.run(look)
