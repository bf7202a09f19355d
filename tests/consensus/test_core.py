"""The core keeps every rule of the paper: step tables, and what does not fit into them."""

import pytest

from chain.primitives.codec import encode
from chain.votes import DuplicateProposal, DuplicateVote
from consensus.core import ROUNDS_AHEAD_MAX
from consensus.timeouts import Timeout, TimeoutParameters, compute_timeout_ms
from consensus.types import (
    HeightStarted,
    Rebroadcast,
    ReportEquivocation,
    ScheduleTimeout,
    Step,
    TimeoutKind,
    decode_input,
)
from tests.consensus.cases import COMMIT_X, NIL_IN_0, POLKA_X, START, Case, build_core, check_case, end_round
from tests.consensus.cases_progress import PROGRESS_CASES
from tests.consensus.cases_votes import VOTE_CASES
from tests.consensus.rig import (
    EQUAL,
    HEIGHT,
    PRECOMMIT,
    PREVOTE,
    address,
    block,
    core,
    elapsed,
    feed,
    proposal,
    proposed,
    shorts,
    vote,
    votes,
)

CASES = [*VOTE_CASES, *PROGRESS_CASES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}: {case.name}")
def test_step(case: Case) -> None:
    """Given, when, then."""
    check_case(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}: {case.name}")
def test_replaying_the_log_gives_the_same_core(case: Case) -> None:
    """The log holds encoded inputs; a fresh core fed with them gives the same outputs and the same state."""
    inputs = [*case.given, *case.when]
    log = [encode(received) for received in inputs]
    first, second = build_core(case), build_core(case)
    live = [first.handle(received) for received in inputs]
    replayed = [second.handle(decode_input(entry)) for entry in log]
    assert replayed == live
    names = ("round", "step", "locked_hash", "locked_round", "valid_hash", "valid_round", "decided_hash")
    assert [getattr(second, name) for name in names] == [getattr(first, name) for name in names]


def test_a_stranger_has_no_vote() -> None:
    """Votes of somebody outside of the set count nowhere, near or far."""
    target = core("d")
    far = ROUNDS_AHEAD_MAX + 1
    strangers = [*votes(PREVOTE, 1, "x", "stuvw"), *votes(PREVOTE, far, "x", "stuvw")]
    assert shorts(feed(target, [START, *strangers])) == ["wait propose 0"]


def test_start_is_an_input() -> None:
    """`start` is the input HeightStarted, and another height's start is none."""
    assert shorts(core("d").start()) == shorts(core("d").handle(HeightStarted(HEIGHT)))
    assert core("d").handle(HeightStarted(HEIGHT + 1)) == []


def test_timeouts_grow_with_the_round_without_bound() -> None:
    """X(r) = base + r * delta, for each kind its own."""
    parameters = TimeoutParameters(Timeout(10, 1), Timeout(20, 2), Timeout(30, 3), Timeout(40, 4))
    durations = [compute_timeout_ms(parameters, kind, 1_000_000) for kind in TimeoutKind]
    assert durations == [1_000_010, 2_000_020, 3_000_030, 4_000_040]
    outputs = feed(core("d"), NIL_IN_0)
    scheduled = [(o.kind.name, o.round, o.duration_ms) for o in outputs if isinstance(o, ScheduleTimeout)]
    assert scheduled == [
        ("PROPOSE", 0, 3000),
        ("REBROADCAST", 0, 1000),
        ("PRECOMMIT", 0, 1000),
        ("PROPOSE", 1, 3500),
        ("REBROADCAST", 1, 1500),
    ]


def test_evidence_holds_both_messages_in_canonical_order() -> None:
    """The evidence of a pair is the same in whatever order the two came."""
    one, other = vote(PREVOTE, 0, "x", "a"), vote(PREVOTE, 0, None, "a")
    for pair in ((one, other), (other, one)):
        outputs = feed(core("d"), [START, *(votes(PREVOTE, 0, v, "a") for v in map(_value_of, pair))])
        reports = [output.evidence for output in outputs if isinstance(output, ReportEquivocation)]
        assert reports == [DuplicateVote(*sorted((one, other), key=encode))]
    outputs = feed(core("d"), [START, proposed(0, "y"), proposed(0, "x")])
    reports = [output.evidence for output in outputs if isinstance(output, ReportEquivocation)]
    assert reports == [DuplicateProposal(proposal(0, "x"), proposal(0, "y"))]


def _value_of(signed: object) -> str | None:
    return "x" if signed == vote(PREVOTE, 0, "x", "a") else None


def test_rebroadcast_repeats_own_messages() -> None:
    """C14: each timeout of the current round sends own proposal and votes again, and rearms its own clock."""
    target = core("a")
    feed(target, [START, proposed(0, "x"), *votes(PREVOTE, 0, "x", "a"), *votes(PRECOMMIT, 0, None, "a")])
    own = (vote(PREVOTE, 0, "x", "a"), vote(PRECOMMIT, 0, None, "a"))
    for kind in TimeoutKind:
        repeat = target.handle(elapsed(kind, 0))[0]
        assert repeat == Rebroadcast(proposal(0, "x"), own, None)
        target = core("a")
        feed(target, [START, proposed(0, "x"), *votes(PREVOTE, 0, "x", "a"), *votes(PRECOMMIT, 0, None, "a")])
    rearmed = target.handle(elapsed(TimeoutKind.REBROADCAST, 0))[1:]
    assert rearmed == [ScheduleTimeout(TimeoutKind.REBROADCAST, HEIGHT, 0, 1000)]


def test_rebroadcast_proves_round_and_valid_block() -> None:
    """C14: what brought the node to its round goes along, and the polka of its valid block."""
    target = core("d")
    feed(target, [START, proposed(0, "x"), POLKA_X, *end_round(0)])
    repeat = target.handle(elapsed(TimeoutKind.REBROADCAST, 1))[0]
    entry = tuple(vote(PRECOMMIT, 0, None, who) for who in "abc")
    assert repeat == Rebroadcast(None, entry, POLKA_X.certificate)
    skipped = core("d")
    feed(skipped, [START, *votes(PREVOTE, 2, "x", "ab")])
    repeat = skipped.handle(elapsed(TimeoutKind.REBROADCAST, 2))[0]
    assert repeat == Rebroadcast(None, tuple(vote(PREVOTE, 2, "x", who) for who in "ab"), None)


def test_observers_do_not_rebroadcast() -> None:
    """Who has no vote does not multiply those of others; summaries serve its peers."""
    observer = core(None)
    feed(observer, [START, proposed(0, "x"), *votes(PREVOTE, 0, "x", "abc")])
    outputs = observer.handle(elapsed(TimeoutKind.REBROADCAST, 0))
    assert [type(output) for output in outputs] == [ScheduleTimeout]


def test_late_precommits_complete_the_certificate() -> None:
    """After the decision precommits still count, so that the next block can carry all of them."""
    target = core("d")
    feed(target, [START, proposed(0, "x"), COMMIT_X])
    assert target.step is Step.DECIDED
    feed(target, votes(PRECOMMIT, 0, "x", "d"))
    certificate = target.build_commit_certificate()
    assert certificate is not None
    assert [part.validator for part in certificate.signatures] == [address(who) for who in "abcd"]


def test_the_certificate_is_of_the_decided_block() -> None:
    """If liars get two blocks their precommits, the one that is decided here is the one passed on."""
    target = core("d")
    feed(
        target, [START, *votes(PRECOMMIT, 0, "y", "abc"), proposed(0, "x"), *votes(PRECOMMIT, 0, "x", "abc")]
    )
    certificate = target.build_commit_certificate()
    assert certificate is not None
    assert target.decided_hash == certificate.block_hash == block("x")


def test_memory_is_bounded_under_a_flood() -> None:
    """C13: of a validator's votes in hundreds of far rounds the highest round's are kept, two per kind."""
    target = core(None)
    target.start()
    for round in range(ROUNDS_AHEAD_MAX + 1, 300):
        flood = [votes(PREVOTE, round, value, "a") for value in "xyz"]
        outputs = feed(target, [*flood, *votes(PRECOMMIT, round, "x", "a")])
        assert shorts(outputs) == ["report DuplicateVote"]
    assert shorts(feed(target, votes(PREVOTE, 299, "x", "b"))) == ["report DuplicateVote", "wait propose 299"]
    found = target.tally.get_votes_of(address("a"), 299)
    assert [(signed.vote.kind, signed.vote.block_hash) for signed in found] == [
        (PREVOTE, block("x")),
        (PREVOTE, block("y")),
        (PRECOMMIT, block("x")),
    ]
    assert target.tally.get_votes(PREVOTE, 298) == []


def test_the_proposer_order_is_that_of_the_set() -> None:
    """The rig's names: a, b, c, d propose in rounds 0, 1, 2, 3."""
    for round, who in enumerate("abcd"):
        target = core(who, EQUAL)
        inputs = [START, *(end_round(earlier) for earlier in range(round))]
        assert shorts(feed(target, inputs))[-2:] == [f"build {round}", f"wait propose {round}"]
