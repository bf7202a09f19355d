"""Seen messages: each signed message is accepted once, and a bounded number per validator."""

from chain.primitives.codec import replace
from chain.votes import SignedVote, VoteKind
from consensus.core import ROUNDS_AHEAD_MAX
from node.replica.seen_messages import FAR_VOTES_MAX, VOTES_PER_ROUND_MAX, SeenMessages
from tests.node.forge import Forge

FORGE = Forge()
ONE, OTHER = FORGE.people[:2]
PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT


def take(sightings: SeenMessages, vote: SignedVote, round: int = 0) -> bool:
    """Note the vote if it is wanted."""
    is_wanted = sightings.is_wanted_vote(vote, round)
    if is_wanted:
        sightings.note_vote(vote)
    return is_wanted


def test_a_vote_is_wanted_once_and_of_an_equivocator_two() -> None:
    """Two votes per slot are wanted, the second is the evidence; slots do not share their bound."""
    sightings = SeenMessages()
    votes = [FORGE.vote(ONE, PREVOTE, value) for value in (None, b"a" * 32, b"b" * 32)]
    assert [take(sightings, vote) for vote in (*votes, votes[0])] == [True, True, False, False]
    assert take(sightings, FORGE.vote(ONE, PRECOMMIT, None))
    assert take(sightings, FORGE.vote(ONE, PREVOTE, None, 1))
    assert take(sightings, FORGE.vote(OTHER, PREVOTE, None))


def test_a_validator_that_signs_for_many_rounds_is_heard_up_to_a_bound() -> None:
    """The bound per validator grows with the rounds; other validators do not share it."""
    sightings = SeenMessages()

    def count(first: int, round: int) -> int:
        votes = (FORGE.vote(ONE, PREVOTE, None, first + number) for number in range(500))
        return sum(take(sightings, vote, round) for vote in votes)

    room = VOTES_PER_ROUND_MAX * (1 + ROUNDS_AHEAD_MAX) + FAR_VOTES_MAX
    assert count(0, 0) == room
    assert take(sightings, FORGE.vote(OTHER, PREVOTE, None, 3))
    assert count(1_000, 2) == 2 * VOTES_PER_ROUND_MAX


def test_two_proposals_of_a_round_and_none_of_far_rounds() -> None:
    """Two proposals per round are wanted, which is what the core keeps."""
    sightings = SeenMessages()
    proposals = [FORGE.propose(ONE, bytes((number,)) * 32) for number in range(3)]
    wanted = []
    for signed in (*proposals, proposals[0]):
        wanted.append(sightings.is_wanted_proposal(signed, 0))
        if wanted[-1]:
            sightings.note_proposal(signed)
    assert wanted == [True, True, False, False]
    far = FORGE.propose(ONE, b"f" * 32, ROUNDS_AHEAD_MAX + 1)
    assert not sightings.is_wanted_proposal(far, 0)
    assert sightings.is_wanted_proposal(far, 1)


def test_a_certificate_is_new_once_per_round_and_block_whoever_signed_it() -> None:
    """A second certificate for one round and block is not wanted, whatever its signers."""
    sightings = SeenMessages()
    commit, polka = FORGE.certify(b"a" * 32), FORGE.polka(b"a" * 32)
    for certificate in (commit, polka):
        assert sightings.is_new_certificate(certificate)
        sightings.note_certificate(certificate)
        fewer = replace(certificate, signatures=certificate.signatures[:3])
        assert not sightings.is_new_certificate(fewer)
    assert sightings.is_new_certificate(FORGE.polka(b"a" * 32, round=1))
    assert sightings.is_new_certificate(FORGE.polka(b"b" * 32))
