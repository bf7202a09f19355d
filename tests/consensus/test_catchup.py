"""Summaries say what a node knows, and the answer brings a peer exactly what it lacks."""

from collections.abc import Sequence
from typing import Any

import pytest

from chain.primitives.codec import decode, encode, replace
from chain.votes import CommitCertificate, PolkaCertificate, SignedProposal, SignedVote
from consensus.catchup import (
    ROUNDS_MAX,
    InvalidSummary,
    RoundSummary,
    ValueSummary,
    VoteSummary,
    build_summary,
    check_summary,
    select_missing,
)
from consensus.core import Core
from consensus.types import (
    CommitCertificateReceived,
    PolkaCertificateReceived,
    ProposalReceived,
    Step,
    TimeoutKind,
    VoteReceived,
)
from tests.consensus.cases import COMMIT_X, NIL_IN_0, POLKA_X, START, end_round
from tests.consensus.rig import (
    EQUAL,
    HEIGHT,
    PRECOMMIT,
    PREVOTE,
    block,
    core,
    elapsed,
    feed,
    proposed,
    vote,
    votes,
)

MANY = 1000


def build(*inputs: Any) -> Core:
    target = core(None)
    feed(target, [START, *inputs])
    return target


def receive(target: Core, messages: Sequence[Any]) -> None:
    """What a shell makes of an answer."""
    for message in messages:
        match message:
            case SignedProposal():
                target.handle(ProposalReceived(message, True, True))
            case SignedVote():
                target.handle(VoteReceived(message))
            case CommitCertificate():
                target.handle(CommitCertificateReceived(message))
            case PolkaCertificate():
                target.handle(PolkaCertificateReceived(message))


def catch_up(target: Core, source: Core) -> None:
    receive(target, select_missing(source, build_summary(target), MANY))


def test_a_summary_says_what_is_known() -> None:
    """Height, round, step, proposals, and a bit per validator and value, in the order of the set."""
    target = build(proposed(0, "x"), *votes(PREVOTE, 0, "x", "ac"), *votes(PREVOTE, 0, None, "d"))
    summary = build_summary(target)
    first = RoundSummary(
        0,
        (block("x"),),
        (ValueSummary(PREVOTE, block("x"), bytes([0b0101])), ValueSummary(PREVOTE, None, bytes([0b1000]))),
    )
    assert summary == VoteSummary(HEIGHT, 0, Step.PREVOTE, (first, RoundSummary(1, (), ())))
    assert decode(VoteSummary, encode(summary)) == summary
    check_summary(EQUAL, summary)


def test_who_knows_the_same_is_sent_nothing() -> None:
    """A node's own summary is answered with nothing."""
    target = build(proposed(0, "x"), *votes(PREVOTE, 0, "x", "abc"), *votes(PRECOMMIT, 0, None, "abc"))
    assert select_missing(target, build_summary(target), MANY) == []


def test_what_is_missing_is_sent() -> None:
    """A proposal and single votes, and none that the peer has."""
    source = build(proposed(0, "x"), *votes(PREVOTE, 0, "x", "ab"), *votes(PRECOMMIT, 0, None, "d"))
    peer = build(*votes(PREVOTE, 0, "x", "a"))
    missing = select_missing(source, build_summary(peer), MANY)
    assert missing == [proposed(0, "x").signed, vote(PREVOTE, 0, "x", "b"), vote(PRECOMMIT, 0, None, "d")]


def test_a_missing_polka_is_sent_whole() -> None:
    """A polka travels as a certificate, which also passes a tally that kept other votes of an equivocator."""
    source = build(proposed(0, "x"), POLKA_X)
    peer = build(proposed(0, "x"), *votes(PREVOTE, 0, None, "a"), *votes(PREVOTE, 0, "y", "a"))
    assert select_missing(source, build_summary(peer), MANY) == [POLKA_X.certificate]
    catch_up(peer, source)
    assert peer.valid_hash == block("x")


def test_the_other_vote_of_an_equivocator_is_sent() -> None:
    """Bits are per value: having one of the two votes does not hide that the other one is missing."""
    source = build(*votes(PREVOTE, 0, None, "ab"))
    peer = build(*votes(PREVOTE, 0, "x", "a"))
    assert select_missing(source, build_summary(peer), MANY) == list(
        map(_message, votes(PREVOTE, 0, None, "ab"))
    )


def _message(received: VoteReceived) -> SignedVote:
    return received.signed


def test_a_commit_makes_the_rest_needless() -> None:
    """Whoever knows a commit certificate sends it, and it only."""
    source = build(proposed(0, "x"), *votes(PREVOTE, 0, "x", "abcd"), COMMIT_X)
    assert source.step is Step.DECIDED
    assert select_missing(source, build_summary(build()), MANY) == [COMMIT_X.certificate]


def test_a_node_rounds_behind_reaches_the_current_round() -> None:
    """The votes that let us enter our round let the peer enter it, and its votes come too."""
    over = [entry for round in range(20) for entry in end_round(round)]
    source = build(*over, proposed(20, "x"), *votes(PREVOTE, 20, "x", "a"))
    peer = build()
    catch_up(peer, source)
    assert peer.round == 19
    peer.handle(elapsed(TimeoutKind.PRECOMMIT, 19))
    catch_up(peer, source)
    assert build_summary(peer).rounds[-2:] == build_summary(source).rounds[-2:]


def test_the_round_that_a_proposal_refers_to_is_asked_for() -> None:
    """However long ago the polka was, its round is in the summary, and the certificate in the answer."""
    over = [entry for round in range(30) for entry in end_round(round)]
    again = proposed(30, "x", 0)
    source = build(proposed(0, "x"), POLKA_X, *over, again)
    peer = build(*over, again)
    assert [entry.round for entry in build_summary(peer).rounds][:1] == [0]
    assert POLKA_X.certificate in select_missing(source, build_summary(peer), MANY)
    catch_up(peer, source)
    assert peer.step is Step.PREVOTE


def test_both_proposals_of_an_equivocator_spread() -> None:
    """Who has one of two proposals gets the other, and with it the evidence."""
    source = build(proposed(0, "y"), proposed(0, "x"))
    peer = build(proposed(0, "x"))
    assert select_missing(source, build_summary(peer), MANY) == [proposed(0, "y").signed]


def test_answers_are_bounded() -> None:
    """Never more than the caller allows, the most useful first; nothing to a peer elsewhere or done."""
    source = build(proposed(0, "x"), *votes(PREVOTE, 0, "x", "ab"))
    summary = build_summary(build())
    assert select_missing(source, summary, 1) == [proposed(0, "x").signed]
    assert select_missing(source, summary, 0) == []
    assert select_missing(source, replace(summary, height=HEIGHT + 1), MANY) == []
    assert select_missing(source, replace(summary, step=Step.DECIDED), MANY) == []


def test_summaries_are_bounded() -> None:
    """However many rounds have passed, and however many values an equivocator votes for."""
    over = [entry for round in range(40) for entry in end_round(round)]
    target = build(*over)
    for who in "abcd":
        feed(target, [*votes(PREVOTE, 40, who, who), *votes(PREVOTE, 40, f"other {who}", who)])
    summary = build_summary(target)
    assert len(summary.rounds) == ROUNDS_MAX
    assert decode(VoteSummary, encode(summary)) == summary


VALUE = ValueSummary(PREVOTE, None, bytes(1))


@pytest.mark.parametrize(
    "rounds",
    [
        (RoundSummary(1, (), ()), RoundSummary(0, (), ())),
        (RoundSummary(1, (), ()), RoundSummary(1, (), ())),
        (RoundSummary(0, (), (VALUE, VALUE)),),
        (RoundSummary(0, (), (replace(VALUE, bits=b""),)),),
        (RoundSummary(0, (), (replace(VALUE, bits=bytes(2)),)),),
        (RoundSummary(0, (), (replace(VALUE, bits=bytes([0b10000])),)),),
    ],
    ids=["order", "round twice", "value twice", "too few bits", "too many bits", "bits beyond the set"],
)
def test_summaries_that_do_not_fit_are_refused(rounds: tuple[RoundSummary, ...]) -> None:
    """A peer's bit arrays have exactly the length of the set, and nothing is said twice."""
    summary = VoteSummary(HEIGHT, 0, Step.PROPOSE, rounds)
    with pytest.raises(InvalidSummary):
        check_summary(EQUAL, summary)
    with pytest.raises(InvalidSummary):
        select_missing(build(), summary, MANY)


def test_after_a_round_that_gave_nothing() -> None:
    """A peer still in round 0 gets the precommits that end it."""
    source = build(*NIL_IN_0[1:])
    missing = select_missing(source, build_summary(build()), MANY)
    assert missing == [vote(PRECOMMIT, 0, None, who) for who in "abc"]
