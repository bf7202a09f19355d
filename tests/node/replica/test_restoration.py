"""Resuming a height: which outputs of a replayed log are still to be carried out."""

import pytest

from chain.votes import Proposal, VoteKind
from consensus.types import CastVote, HeightStarted, Output, ProposalReceived, SendProposal, VoteReceived
from node.replica.journal import Note
from node.replica.restoration import replay
from tests.consensus.rig import HEIGHT, PREVOTE, block, built, core, proposal, proposed, vote

STARTED = HeightStarted(HEIGHT)


def get_votes(pending: list[Output], kind: VoteKind) -> list[CastVote]:
    return [one for one in pending if isinstance(one, CastVote) and one.vote.kind is kind]


@pytest.mark.parametrize(("voter", "is_pending"), [("a", False), ("b", True)])
def test_only_an_own_vote_in_the_log_answers_a_vote(voter: str, is_pending: bool) -> None:
    """The same vote of another validator does not show that the own one left before the crash."""
    notes: list[Note] = [STARTED, built(0, "x"), proposed(0, "x"), VoteReceived(vote(PREVOTE, 0, "x", voter))]
    pending, asked = replay(core("a"), notes)
    assert bool(get_votes(pending, PREVOTE)) == is_pending
    assert vote(PREVOTE, 0, "x", "a").vote in asked


@pytest.mark.parametrize(("value", "is_pending"), [("x", False), ("y", True)])
def test_only_the_same_vote_answers_a_vote(value: str, is_pending: bool) -> None:
    """An own vote for another block, as a second process signs it, is no answer."""
    notes: list[Note] = [STARTED, built(0, "x"), proposed(0, "x"), VoteReceived(vote(PREVOTE, 0, value, "a"))]
    pending, _ = replay(core("a"), notes)
    assert bool(get_votes(pending, PREVOTE)) == is_pending


@pytest.mark.parametrize(("value", "is_pending"), [("x", False), ("y", True)])
def test_only_the_same_proposal_answers_a_proposal(value: str, is_pending: bool) -> None:
    """A proposal that was asked for is sent after the crash unless the log has that very one."""
    notes: list[Note] = [STARTED, built(0, "x"), ProposalReceived(proposal(0, value), True, True)]
    pending, asked = replay(core("a"), notes)
    assert any(isinstance(one, SendProposal) for one in pending) == is_pending
    assert [one.block_hash for one in asked if isinstance(one, Proposal)] == [block("x")]
