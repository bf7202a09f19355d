"""Step tables of what ends rounds and heights, and of bounds: C7 to C13 and quorums (see `cases`)."""

from chain.votes import build_commit_certificate
from consensus.types import BlockReceived, CommitCertificateReceived, TimeoutElapsed, VoteReceived
from tests.consensus.cases import (
    COMMIT_X,
    FAR,
    LOCKED_X_IN_0,
    NIL_IN_0,
    POLKA_X,
    PRECOMMIT_OVER,
    PREVOTE_OVER,
    PROPOSE_OVER,
    START,
    Case,
    end_round,
)
from tests.consensus.rig import (
    HEIGHT,
    PRECOMMIT,
    PREVOTE,
    block,
    elapsed,
    proposed,
    vote,
    votes,
)

C7 = [
    Case(
        "C7",
        "a quorum of any precommits starts the timeout, in any step",
        "d",
        [START, *votes(PRECOMMIT, 0, None, "ab")],
        votes(PRECOMMIT, 0, "x", "c"),
        ["wait precommit 0"],
    ),
    Case("C7", "once", "d", [START, *votes(PRECOMMIT, 0, None, "abc")], votes(PRECOMMIT, 0, "x", "d"), []),
    Case(
        "C7",
        "not for an earlier round",
        "d",
        [*NIL_IN_0, *end_round(1)],
        votes(PRECOMMIT, 1, None, "d"),
        [],
    ),
]

C8 = [
    Case(
        "C8",
        "a quorum of precommits for a known block decides",
        "d",
        [START, proposed(0, "x"), *votes(PRECOMMIT, 0, "x", "ab")],
        votes(PRECOMMIT, 0, "x", "c"),
        ["decide 0 x"],
    ),
    Case(
        "C8",
        "two thirds are not enough",
        "d",
        [START, proposed(0, "x")],
        [*votes(PRECOMMIT, 0, "x", "ab"), *votes(PRECOMMIT, 0, None, "c")],
        ["wait precommit 0"],
    ),
    Case(
        "C8",
        "in an earlier round",
        "d",
        [
            START,
            proposed(0, "x"),
            *votes(PRECOMMIT, 0, "x", "ab"),
            *votes(PRECOMMIT, 0, None, "d"),
            elapsed(PRECOMMIT_OVER, 0),
        ],
        votes(PRECOMMIT, 0, "x", "c"),
        ["decide 0 x"],
    ),
    Case(
        "C8",
        "in a later round",
        "d",
        [START, proposed(1, "x")],
        [
            CommitCertificateReceived(
                build_commit_certificate([vote(PRECOMMIT, 1, "x", who) for who in "abc"])
            )
        ],
        ["decide 1 x"],
    ),
    Case("C8", "before the start", "d", [proposed(0, "x")], [COMMIT_X], ["decide 0 x"]),
    Case(
        "C8",
        "precommits of two rounds do not add up",
        "d",
        [
            START,
            proposed(0, "x"),
            *votes(PRECOMMIT, 0, "x", "ab"),
            *votes(PRECOMMIT, 0, None, "d"),
            elapsed(PRECOMMIT_OVER, 0),
        ],
        votes(PRECOMMIT, 1, "x", "c"),
        [],
    ),
    Case("C8", "nil is never decided", "d", [START], votes(PRECOMMIT, 0, None, "abcd"), ["wait precommit 0"]),
    Case("C8", "once", "d", [START, proposed(0, "x"), COMMIT_X], votes(PRECOMMIT, 0, "x", "d"), []),
    Case(
        "C8",
        "and nothing else happens afterwards",
        "d",
        [START, proposed(0, "x"), COMMIT_X],
        [elapsed(PROPOSE_OVER, 0), *votes(PREVOTE, 3, "y", "abc"), elapsed(PRECOMMIT_OVER, 0)],
        [],
    ),
    Case("C8", "an observer decides", None, [START, proposed(0, "x")], [COMMIT_X], ["decide 0 x"]),
    Case(
        "C8",
        "an invalid block with a quorum is a failure of consensus",
        "d",
        [START, proposed(0, "x", is_valid=False)],
        [COMMIT_X],
        ["failure 0 x"],
    ),
    Case(
        "C8",
        "after which nothing happens",
        "d",
        [START, proposed(0, "x", is_valid=False), COMMIT_X],
        [elapsed(PRECOMMIT_OVER, 0), proposed(1, "y")],
        [],
    ),
]

C9 = [
    Case(
        "C9",
        "more than a third in a later round moves there",
        "d",
        [START, *votes(PREVOTE, 2, "x", "a")],
        votes(PRECOMMIT, 2, None, "b"),
        ["wait propose 2"],
    ),
    Case("C9", "a third is not enough", "d", [START], votes(PREVOTE, 2, "x", "a"), []),
    Case(
        "C9",
        "a validator counts once",
        "d",
        [START, *votes(PREVOTE, 2, "x", "a")],
        [*votes(PRECOMMIT, 2, "x", "a"), *votes(PREVOTE, 2, "x", "a")],
        [],
    ),
    Case(
        "C9",
        "rounds do not add up",
        "d",
        [START, *votes(PREVOTE, 1, "x", "a")],
        votes(PREVOTE, 2, "x", "b"),
        [],
    ),
    Case("C9", "nobody goes back", "d", NIL_IN_0, votes(PREVOTE, 0, "x", "c"), []),
    Case(
        "C9",
        "the next proposer proposes there",
        "d",
        [START, *votes(PREVOTE, 3, None, "a")],
        votes(PREVOTE, 3, None, "b"),
        ["build 3", "wait propose 3"],
    ),
    Case(
        "C9",
        "a round beyond the window can be reached",
        "d",
        [START, *votes(PREVOTE, FAR, None, "a")],
        votes(PREVOTE, FAR, None, "b"),
        [f"wait propose {FAR}"],
    ),
    Case(
        "C9",
        "and the votes seen there count",
        "d",
        [START, *votes(PRECOMMIT, FAR, None, "ab")],
        votes(PRECOMMIT, FAR, None, "c"),
        [f"wait precommit {FAR}"],
    ),
    Case(
        "C9",
        "of far rounds a validator's highest counts",
        "d",
        [START, *votes(PREVOTE, FAR, None, "a"), *votes(PREVOTE, FAR + 1, None, "a")],
        votes(PREVOTE, FAR, None, "b"),
        [],
    ),
]

C10 = [
    Case("C10", "propose: prevote nil", "d", [START], [elapsed(PROPOSE_OVER, 0)], ["prevote 0 nil"]),
    Case(
        "C10", "propose: not after prevoting", "d", [START, proposed(0, "x")], [elapsed(PROPOSE_OVER, 0)], []
    ),
    Case("C10", "propose: not of an old round", "d", NIL_IN_0, [elapsed(PROPOSE_OVER, 0)], []),
    Case(
        "C10",
        "propose: not of another height",
        "d",
        [START],
        [TimeoutElapsed(PROPOSE_OVER, HEIGHT + 1, 0)],
        [],
    ),
    Case(
        "C10",
        "prevote: precommit nil",
        "d",
        [START, proposed(0, "x"), *votes(PREVOTE, 0, "x", "ad"), *votes(PREVOTE, 0, None, "b")],
        [elapsed(PREVOTE_OVER, 0)],
        ["precommit 0 nil"],
    ),
    Case("C10", "prevote: not after precommitting", "d", LOCKED_X_IN_0, [elapsed(PREVOTE_OVER, 0)], []),
    Case("C10", "prevote: not before prevoting", "d", [START], [elapsed(PREVOTE_OVER, 0)], []),
    Case(
        "C10",
        "precommit: next round, in any step",
        "d",
        [START],
        [elapsed(PRECOMMIT_OVER, 0)],
        ["wait propose 1"],
    ),
    Case("C10", "precommit: not of an old round", "d", NIL_IN_0, [elapsed(PRECOMMIT_OVER, 0)], []),
    Case(
        "C10", "nothing before the start", "d", [], [elapsed(PROPOSE_OVER, 0), elapsed(PRECOMMIT_OVER, 0)], []
    ),
]

C12 = [
    Case(
        "C12",
        "a second vote is reported and counts for its own block",
        "d",
        [START, proposed(0, "x"), *votes(PREVOTE, 0, None, "a"), *votes(PREVOTE, 0, "x", "bd")],
        votes(PREVOTE, 0, "x", "a"),
        ["report DuplicateVote", "precommit 0 x"],
    ),
    Case(
        "C12",
        "the same vote counts once",
        "d",
        [START, *votes(PREVOTE, 1, None, "a")],
        votes(PREVOTE, 1, None, "a"),
        [],
    ),
    Case(
        "C12",
        "a third vote is neither reported nor counted",
        "d",
        [START, proposed(0, "x"), *votes(PREVOTE, 0, None, "a"), *votes(PREVOTE, 0, "y", "a")],
        votes(PREVOTE, 0, "x", "abd"),
        ["wait prevote 0"],
    ),
    Case(
        "C12",
        "except in a certificate",
        "d",
        [START, proposed(0, "x"), *votes(PREVOTE, 0, None, "a"), *votes(PREVOTE, 0, "y", "a")],
        [POLKA_X],
        ["wait prevote 0", "precommit 0 x"],
    ),
    Case(
        "C12",
        "a second proposal is reported and not prevoted",
        "d",
        [START, proposed(0, "x")],
        [proposed(0, "y")],
        ["report DuplicateProposal"],
    ),
    Case(
        "C12",
        "a third one is dropped",
        "d",
        [START, proposed(0, "x"), proposed(0, "y")],
        [proposed(0, "z")],
        [],
    ),
    Case(
        "C12",
        "a final block that is unknown is fetched, once",
        "d",
        [START],
        [COMMIT_X, *votes(PRECOMMIT, 0, "x", "d")],
        ["fetch x", "wait precommit 0"],
    ),
    Case(
        "C12",
        "and decided when it is there",
        "d",
        [START, COMMIT_X],
        [BlockReceived(HEIGHT, block("x"), True)],
        ["decide 0 x"],
    ),
    Case(
        "C12",
        "or a failure if it is invalid",
        "d",
        [START, COMMIT_X],
        [BlockReceived(HEIGHT, block("x"), False)],
        ["failure 0 x"],
    ),
    Case(
        "C12",
        "also where it was the third proposal",
        "d",
        [START, proposed(0, "y"), proposed(0, "z"), proposed(0, "x")],
        [COMMIT_X, BlockReceived(HEIGHT, block("x"), True)],
        ["fetch x", "wait precommit 0", "decide 0 x"],
    ),
    Case(
        "C12",
        "a block nobody asked for is ignored",
        "d",
        [START],
        [BlockReceived(HEIGHT, block("x"), True)],
        [],
    ),
]

ABOVE = [vote(PRECOMMIT, 0, "x", who, HEIGHT + 1) for who in "abc"]
COMMIT_ABOVE = CommitCertificateReceived(build_commit_certificate(ABOVE))
C13 = [
    Case(
        "C13",
        "a certificate of another height is dropped",
        "d",
        [START, proposed(0, "x")],
        [COMMIT_ABOVE],
        [],
    ),
    Case("C13", "a proposal beyond the window is dropped", "d", [START], [proposed(FAR, "x")], []),
    Case(
        "C13",
        "votes of another height are dropped",
        "d",
        [START, proposed(0, "x")],
        [VoteReceived(vote(PREVOTE, 0, "x", who, HEIGHT + 1)) for who in "abc"],
        [],
    ),
]

THREE = {"a": 1, "b": 1, "c": 1}
UNEQUAL = {"a": 7, "b": 5, "c": 3}
FETCH_X = ["fetch x", "wait precommit 0"]
POWERS = [
    Case(
        "quorum",
        "two of three are not more than two thirds",
        None,
        [START],
        votes(PRECOMMIT, 0, "x", "ab"),
        [],
        THREE,
    ),
    Case("quorum", "three of three are", None, [START], votes(PRECOMMIT, 0, "x", "abc"), FETCH_X, THREE),
    Case("quorum", "10 of 15 are not", None, [START], votes(PRECOMMIT, 0, "x", "ac"), [], UNEQUAL),
    Case(
        "quorum",
        "12 of 15 are, by two heads",
        None,
        [START],
        votes(PRECOMMIT, 0, "x", "ab"),
        FETCH_X,
        UNEQUAL,
    ),
    Case(
        "C9", "one of three is not more than a third", None, [START], votes(PREVOTE, 2, "x", "a"), [], THREE
    ),
    Case("C9", "5 of 15 are not", None, [START], votes(PREVOTE, 2, "x", "b"), [], UNEQUAL),
    Case("C9", "7 of 15 are", None, [START], votes(PREVOTE, 2, "x", "a"), ["wait propose 2"], UNEQUAL),
    Case("C9", "far ahead 5 of 15 are not", None, [START], votes(PREVOTE, FAR, "x", "b"), [], UNEQUAL),
]

PROGRESS_CASES = [*C7, *C8, *C9, *C10, *C12, *C13, *POWERS]
