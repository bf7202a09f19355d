"""Seen messages: each signed message is accepted once, and a bounded number per validator."""

from chain.primitives.codec import replace
from chain.votes import SignedVote, VoteKind
from consensus.core import ROUNDS_AHEAD_MAX
from node.replica.seen_messages import FAR_VOTES_MAX, SeenMessages
from tests.node.forge import Forge

FORGE = Forge()
ONE, OTHER = FORGE.people[:2]
PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT


def take(seen: SeenMessages, vote: SignedVote, round: int = 0) -> bool:
    """Note the vote if it is wanted."""
    is_wanted = seen.is_wanted_vote(vote, round)
    if is_wanted:
        seen.note_vote(vote, round)
    return is_wanted


def test_a_vote_is_wanted_once_and_of_an_equivocator_two() -> None:
    """Two votes per slot are wanted, the second is the evidence; slots do not share their bound."""
    seen = SeenMessages()
    votes = [FORGE.vote(ONE, PREVOTE, value) for value in (None, b"a" * 32, b"b" * 32)]
    assert [take(seen, vote) for vote in (*votes, votes[0])] == [True, True, False, False]
    assert take(seen, FORGE.vote(ONE, PRECOMMIT, None))
    assert take(seen, FORGE.vote(ONE, PREVOTE, None, 1))
    assert take(seen, FORGE.vote(OTHER, PREVOTE, None))


def test_a_vote_signed_again_leaves_room_for_the_conflicting_one() -> None:
    """The owner of a key can sign one vote in many ways; the copies must not fill the slot."""
    seen = SeenMessages()
    vote, other = FORGE.vote(ONE, PREVOTE, None), FORGE.vote(ONE, PREVOTE, b"a" * 32)
    copies = [replace(vote, signature=bytes((number,)) * 64) for number in range(3)]
    assert [take(seen, one) for one in (vote, *copies)] == [True, False, False, False]
    assert take(seen, other)
    assert not take(seen, replace(other, signature=bytes(64)))


def test_votes_of_far_rounds_leave_room_for_a_conflicting_one() -> None:
    """A validator that floods far rounds must not get its second vote of a near slot refused."""
    seen = SeenMessages()
    assert take(seen, FORGE.vote(ONE, PREVOTE, None))
    for number in range(1_000):
        take(seen, FORGE.vote(ONE, PREVOTE, None, 100 + number))
    assert take(seen, FORGE.vote(ONE, PREVOTE, b"a" * 32))


def test_a_proposal_signed_again_leaves_room_for_the_conflicting_one() -> None:
    """The copies of one proposal must not fill the round."""
    seen = SeenMessages()
    proposal, other = FORGE.propose(ONE, b"a" * 32), FORGE.propose(ONE, b"b" * 32)
    seen.note_proposal(proposal)
    copy = replace(proposal, signature=bytes(64))
    assert not seen.is_wanted_proposal(copy, 0)
    assert seen.is_wanted_proposal(other, 0)


def test_a_validator_that_signs_for_many_rounds_is_heard_up_to_a_bound() -> None:
    """Near rounds have a bound per slot, far rounds one per validator; others do not share them."""
    seen = SeenMessages()

    def count(first: int, round: int) -> int:
        votes = (FORGE.vote(ONE, PREVOTE, None, first + number) for number in range(500))
        return sum(take(seen, vote, round) for vote in votes)

    assert count(0, 0) == 1 + ROUNDS_AHEAD_MAX + FAR_VOTES_MAX
    assert take(seen, FORGE.vote(OTHER, PREVOTE, None, 3))
    assert count(1_000, 2) == 0
    assert take(seen, FORGE.vote(ONE, PRECOMMIT, None, ROUNDS_AHEAD_MAX))


def test_two_proposals_of_a_round_and_none_of_far_rounds() -> None:
    """Two proposals per round are wanted, which is what the core keeps."""
    seen = SeenMessages()
    proposals = [FORGE.propose(ONE, bytes((number,)) * 32) for number in range(3)]
    wanted = []
    for signed in (*proposals, proposals[0]):
        wanted.append(seen.is_wanted_proposal(signed, 0))
        if wanted[-1]:
            seen.note_proposal(signed)
    assert wanted == [True, True, False, False]
    far = FORGE.propose(ONE, b"f" * 32, ROUNDS_AHEAD_MAX + 1)
    assert not seen.is_wanted_proposal(far, 0)
    assert seen.is_wanted_proposal(far, 1)


def test_a_certificate_is_new_once_per_round_and_block_whoever_signed_it() -> None:
    """A second certificate for one round and block is not wanted, whatever its signers."""
    seen = SeenMessages()
    commit, polka = FORGE.certify(b"a" * 32), FORGE.polka(b"a" * 32)
    for certificate in (commit, polka):
        assert seen.is_new_certificate(certificate)
        seen.note_certificate(certificate)
        fewer = replace(certificate, signatures=certificate.signatures[:3])
        assert not seen.is_new_certificate(fewer)
    assert seen.is_new_certificate(FORGE.polka(b"a" * 32, round=1))
    assert seen.is_new_certificate(FORGE.polka(b"b" * 32))
