"""The tally counts by power, each vote once, and keeps what evidence and certificates need."""

from hypothesis import given
from hypothesis import strategies as st

from chain.votes import VoteKind
from consensus.tally import FarVotes, VoteTally
from tests.consensus.rig import EQUAL, PRECOMMIT, PREVOTE, address, block, validators, vote

POWERS = {"a": 7, "b": 5, "c": 3, "d": 2}
UNEQUAL = validators(POWERS)
one_vote = st.builds(
    vote,
    st.sampled_from(VoteKind),
    st.integers(0, 2),
    st.sampled_from(["x", "y", None]),
    st.sampled_from("abcde"),
)


@given(st.lists(one_vote, max_size=40))
def test_powers_are_those_of_the_votes_kept(added: list[object]) -> None:
    """Whatever comes in whatever order, quorums are what a recount of the kept votes gives."""
    tally = VoteTally(UNEQUAL)
    for signed in added:
        tally.add(signed)
    for kind in VoteKind:
        for round in range(3):
            kept = tally.get_votes(kind, round)
            assert len(kept) == len(set(kept))
            voters = {signed.vote.validator for signed in kept}
            assert tally.has_any_quorum(kind, round) == is_quorum(voters)
            for value in (block("x"), block("y"), None):
                votes = tally.get_votes_for(kind, round, value)
                assert tally.has_quorum(kind, round, value) == is_quorum({s.vote.validator for s in votes})
    quorums = {
        value
        for value in (block("x"), block("y"))
        for round in range(3)
        if tally.has_quorum(PRECOMMIT, round, value)
    }
    assert set(tally.commits) == quorums


def is_quorum(voters: set[bytes]) -> bool:
    power = sum(POWERS[name] for name in POWERS if address(name) in voters)
    return 3 * power > 2 * sum(POWERS.values())


@given(st.lists(one_vote, max_size=30))
def test_adding_again_changes_nothing(added: list[object]) -> None:
    """A second delivery of everything is not evidence and leaves all as it was."""
    tally = VoteTally(UNEQUAL)
    for signed in added:
        tally.add(signed)
    before = [tally.get_votes(kind, round) for kind in VoteKind for round in range(3)]
    assert [tally.add(signed) for signed in added] == [None] * len(added)
    assert [tally.get_votes(kind, round) for kind in VoteKind for round in range(3)] == before


def test_values_come_by_power() -> None:
    """The value with most power is first; on a tie nil, then the smaller hash."""
    tally = VoteTally(EQUAL)
    for value, who in (("y", "a"), ("x", "b"), (None, "c")):
        tally.add(vote(PREVOTE, 0, value, who))
    assert tally.get_values(PREVOTE, 0) == [None, block("x"), block("y")]
    tally.add(vote(PREVOTE, 0, "y", "d"))
    assert tally.get_values(PREVOTE, 0) == [block("y"), None, block("x")]


def test_far_votes_are_taken_when_their_round_is_near() -> None:
    """Only votes up to the given round are handed over, and then forgotten."""
    far = FarVotes(EQUAL)
    far.add(vote(PREVOTE, 10, "x", "a"))
    far.add(vote(PREVOTE, 20, "x", "b"))
    assert far.take(9) == []
    assert far.take(10) == [vote(PREVOTE, 10, "x", "a")]
    assert far.take(10) == []
    assert far.take(20) == [vote(PREVOTE, 20, "x", "b")]


def test_far_votes_of_an_earlier_round_do_not_displace_later_ones() -> None:
    """A validator's highest round stays, whatever comes afterwards."""
    far = FarVotes(EQUAL)
    far.add(vote(PREVOTE, 20, "x", "a"))
    far.add(vote(PREVOTE, 10, "x", "a"))
    assert far.take(30) == [vote(PREVOTE, 20, "x", "a")]
